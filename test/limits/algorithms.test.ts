import assert from "node:assert/strict";
import { test } from "node:test";
import { type Algorithm, algorithms } from "../../src/limits/algorithms.ts";
import type { Allowance } from "../../src/limits/allowance.ts";
import type { Pace } from "../../src/limits/pace.ts";
import { FakeClock } from "../support/clock.ts";

const day = 86_400_000;

/** An allowance, and a clock that begins at midnight of UTC. */
function make(algorithm: Algorithm, pace: Pace) {
  const clock = new FakeClock();
  const of = { pace };
  return { clock, of, allowance: algorithms[algorithm](of, clock) };
}

/** How many calls pass at this moment, of so many that try. */
function pass(allowance: Allowance, now: number, tries: number): number {
  let passed = 0;
  for (let at = 0; at < tries; at++) {
    if (!allowance.ready(now)) continue;
    allowance.take(now);
    passed++;
  }
  return passed;
}

const algorithmNames = ["tokenBucket", "slidingWindow", "fixedWindow"] as const;

for (const name of algorithmNames) {
  test(`${name}: what it says to wait is when the next call passes, and not a millisecond sooner`, () => {
    const { clock, allowance } = make(name, { amount: 10, per: 1000, burst: 10 });
    clock.advance(3);
    assert.equal(pass(allowance, clock.now(), 50), 10);
    for (let call = 0; call < 30; call++) {
      const wait = allowance.wait(clock.now());
      assert.ok(wait > 0 && wait <= 2000, `${wait}`);
      assert.equal(allowance.ready(clock.now() + wait - 0.01), false);
      clock.advance(wait);
      assert.equal(allowance.wait(clock.now()), 0);
      assert.ok(pass(allowance, clock.now(), 10) >= 1);
    }
  });

  test(`${name}: over a minute of too many calls it lets through what it is for`, () => {
    const { clock, allowance } = make(name, { amount: 100, per: 1000, burst: 100 });
    let passed = 0;
    for (let ms = 0; ms < 60_000; ms += 7) {
      passed += pass(allowance, clock.now(), 3);
      clock.advance(7);
    }
    assert.ok(passed >= 5900 && passed <= 6100, `${passed}`);
  });

  test(`${name}: after long enough it is as a new one, and not before`, () => {
    const { clock, allowance } = make(name, { amount: 10, per: 1000, burst: 10 });
    assert.equal(allowance.fresh(clock.now()), true);
    pass(allowance, clock.now(), 5);
    assert.equal(allowance.fresh(clock.now() + 400), false);
    assert.equal(allowance.fresh(clock.now() + 2000), true);
  });

  test(`${name}: another pace holds from the next call on, for what was counted before, too`, () => {
    const { clock, of, allowance } = make(name, { amount: 10, per: 1000, burst: 10 });
    assert.equal(pass(allowance, clock.now(), 50), 10);
    of.pace = { amount: 20, per: 1000, burst: 20 };
    const more = pass(allowance, clock.now(), 50);
    assert.ok(more <= 10, `${more} at once`);
    clock.advance(2000);
    assert.equal(pass(allowance, clock.now(), 50), 20);
  });
}

test("a token bucket has its burst after a rest, and one call at a time after that", () => {
  const { clock, allowance } = make("tokenBucket", { amount: 100, per: 1000, burst: 30 });
  assert.equal(pass(allowance, clock.now(), 100), 30);
  clock.advance(10);
  assert.equal(pass(allowance, clock.now(), 100), 1);
  clock.advance(100);
  assert.equal(pass(allowance, clock.now(), 100), 10);
  clock.advance(60_000);
  assert.equal(pass(allowance, clock.now(), 100), 30);
});

test("no stretch of time as long as a sliding window has more calls than it allows, but for the rounding of even spreading", () => {
  const { clock, allowance } = make("slidingWindow", { amount: 100, per: 1000, burst: 100 });
  const times: number[] = [];
  clock.advance(950);
  for (let ms = 0; ms < 5000; ms++) {
    for (let at = 0; at < pass(allowance, clock.now(), 5); at++) times.push(clock.now());
    clock.advance(1);
  }
  for (const [index, time] of times.entries()) {
    const within = times.slice(index).filter((other) => other < time + 1000).length;
    // All at the end of a stretch is what spreading knows least of.
    assert.ok(within <= 200, `${within} from ${time}`);
  }
  const steady = times.filter((time) => time >= 2000 && time < 5000).length;
  assert.ok(steady >= 280 && steady <= 320, `${steady}`);
});

test("a quota by day begins anew at midnight of UTC", () => {
  const { clock, allowance } = make("fixedWindow", { amount: 1000, per: day, burst: 1000 });
  clock.advance(day - 1000);
  assert.equal(pass(allowance, clock.now(), 2000), 1000);
  assert.equal(allowance.wait(clock.now()), 1000);
  clock.advance(999);
  assert.equal(pass(allowance, clock.now(), 2000), 0);
  clock.advance(1);
  assert.equal(pass(allowance, clock.now(), 2000), 1000);
  assert.equal(allowance.wait(clock.now()), day);
});

test("a token bucket has as many tokens after a change of its pace as before it", () => {
  for (const amount of [1, 10, 1000]) {
    const { clock, of, allowance } = make("tokenBucket", { amount: 10, per: 1000, burst: 20 });
    assert.equal(pass(allowance, clock.now(), 15), 15);
    of.pace = { amount, per: 1000, burst: 20 };
    assert.equal(Math.round(allowance.used(clock.now()) ?? 0), 15);
    assert.equal(pass(allowance, clock.now(), 50), 5, `under ${amount} a second`);
    clock.advance(1000);
    assert.equal(pass(allowance, clock.now(), 50), Math.min(20, amount), `after one second under ${amount} a second`);
  }
});
