import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLives, type ConnectionTerms } from "../../src/net/connection-life.ts";
import { FakeClock } from "../support/clock.ts";

const endless: ConnectionTerms = {
  maxAge: undefined,
  grace: undefined,
  maxRequests: undefined,
  idleTimeout: undefined,
};

/** A connection with these terms. `random`: what decides by how much its age differs. */
function connection(terms: Partial<ConnectionTerms>, random = 0.5) {
  const clock = new FakeClock();
  const lives = new ConnectionLives({ ...endless, ...terms }, clock, () => random);
  const seen: [word: string, at: number, why: string][] = [];
  const state = { active: 0 };
  const life = lives.begin({
    get active() {
      return state.active;
    },
    leave: (why) => void seen.push(["leave", clock.now(), why]),
    end: (why) => void seen.push(["end", clock.now(), why]),
  });
  const renew = (other: Partial<ConnectionTerms>): void => lives.renew({ ...endless, ...other });
  return { clock, lives, renew, seen, state, life };
}

const word = ([what, at]: [string, number, string]): string => `${what} at ${at}`;

test("a connection without terms arms no timer and stays", () => {
  const { clock, seen, life } = connection({});
  for (let call = 0; call < 1000; call++) life.count();
  assert.equal(clock.pending, 0);
  assert.deepEqual(seen, []);
});

test("an old connection is asked to go a tenth earlier or later, and ended after its grace", () => {
  for (const [random, at] of [
    [0, 900],
    [0.5, 1000],
    [1, 1100],
  ] as const) {
    const { clock, seen, lives, life } = connection({ maxAge: 1000, grace: 500 }, random);
    clock.advance(at - 1);
    assert.deepEqual([seen, life.left, life.isAsked], [[], 1, false]);
    clock.advance(10_000);
    assert.deepEqual([life.left, life.isAsked], [undefined, true]);
    assert.deepEqual(seen.map(word), [`leave at ${at}`, `end at ${at + 500}`]);
    assert.match(seen[1]?.[2] ?? "", /open for about 1000 ms \(maxAge\), and its calls had 500 ms to end$/);
    assert.deepEqual(lives.asked, { maxAge: 1, maxRequests: 0, idleTimeout: 0 });
    assert.equal(clock.pending, 0);
  }
});

test("without a grace its calls end by themselves, and one that is gone is not ended", () => {
  const patient = connection({ maxAge: 1000 });
  patient.clock.advance(100_000);
  assert.deepEqual(patient.seen.map(word), ["leave at 1000"]);
  const gone = connection({ maxAge: 1000, grace: 500 });
  gone.clock.advance(1200);
  gone.life.stop();
  gone.clock.advance(100_000);
  assert.deepEqual(gone.seen.map(word), ["leave at 1000"]);
  assert.equal(gone.clock.pending, 0);
});

test("the last call that it may carry has its caller asked to go, once", () => {
  const { clock, seen, life, lives } = connection({ maxRequests: 3, maxAge: 1000 });
  life.count();
  life.count();
  assert.deepEqual(seen, []);
  life.count();
  life.count();
  clock.advance(5000);
  assert.deepEqual(seen.map(word), ["leave at 0"]);
  assert.deepEqual(lives.asked, { maxAge: 0, maxRequests: 1, idleTimeout: 0 });
});

test("an idle connection is asked to go once it has had no call for its timeout, at most a quarter later", () => {
  const unused = connection({ idleTimeout: 1000 });
  unused.clock.advance(999);
  assert.deepEqual(unused.seen, []);
  unused.clock.advance(1);
  assert.deepEqual(unused.seen.map(word), ["leave at 1000"]);
  assert.equal(unused.clock.pending, 0);
  for (const rested of [5001, 5100, 5249, 5250]) {
    const { clock, seen, state, life } = connection({ idleTimeout: 1000 });
    clock.advance(600);
    life.count();
    state.active = 1;
    clock.advance(rested - 600);
    state.active = 0;
    clock.advance(999);
    assert.deepEqual(seen, []);
    clock.advance(251);
    assert.equal(seen.length, 1);
  }
});

test("calls that each end between two looks keep a connection as one that lasts does", () => {
  const { clock, seen, life } = connection({ idleTimeout: 1000 });
  for (let at = 0; at < 5000; at += 200) {
    clock.advance(200);
    life.count();
  }
  assert.deepEqual(seen, []);
  clock.advance(1250);
  assert.equal(seen.length, 1);
});

test("other terms hold for a connection that is open: its age and its calls count from its beginning", () => {
  const older = connection({});
  older.clock.advance(5000);
  older.renew({ maxAge: 6000 });
  older.clock.advance(1000);
  assert.deepEqual(older.seen.map(word), ["leave at 6000"]);

  const tooOld = connection({ maxAge: 100_000 });
  tooOld.clock.advance(5000);
  tooOld.renew({ maxAge: 1000 });
  tooOld.clock.advance(1000);
  assert.deepEqual(tooOld.seen.map(word), ["leave at 5050"]);

  const spared = connection({ maxAge: 1000 });
  spared.renew({});
  assert.equal(spared.clock.pending, 0);

  const busy = connection({});
  for (let call = 0; call < 5; call++) busy.life.count();
  busy.renew({ maxRequests: 3 });
  assert.deepEqual(busy.seen, []);
  busy.life.count();
  assert.deepEqual(busy.seen.map(word), ["leave at 0"]);

  const counting = connection({ maxRequests: 3 });
  counting.life.count();
  counting.renew({ maxRequests: 4 });
  counting.life.count();
  counting.life.count();
  assert.deepEqual(counting.seen, []);
  counting.life.count();
  assert.deepEqual(counting.seen.map(word), ["leave at 0"]);
});

test("connections that a reload makes too old together are asked one after the other, within a tenth of their age", () => {
  const chances = [0.9, 0, 0.5];
  const clock = new FakeClock();
  const lives = new ConnectionLives(endless, clock, () => chances.shift() ?? 0);
  const left: number[] = [];
  for (let count = 0; count < 3; count++)
    lives.begin({ active: undefined, leave: () => void left.push(clock.now()), end: () => {} });
  clock.advance(5000);
  lives.renew({ ...endless, maxAge: 1000 });
  clock.advance(1000);
  assert.deepEqual(left, [5000, 5050, 5090]);
});

test("the same terms once more, as with a reload of something else, are no word from an idle caller", () => {
  const { clock, seen, lives, renew } = connection({ idleTimeout: 1000, maxAge: 60_000 });
  for (let at = 0; at < 1250; at += 125) {
    clock.advance(125);
    renew({ idleTimeout: 1000, maxAge: 60_000, grace: at });
  }
  assert.deepEqual(seen.map(word), ["leave at 1000"]);
  assert.equal(lives.terms.grace, 1125);
});
