import assert from "node:assert/strict";
import { test } from "node:test";
import { FixedWindow } from "../../src/limits/fixed-window.ts";
import { Lease, type OnStoreFailure } from "../../src/limits/lease.ts";
import { type Pace, shareOf } from "../../src/limits/pace.ts";
import { TokenBucket } from "../../src/limits/token-bucket.ts";
import { FakeClock } from "../support/clock.ts";
import { FakeStore } from "./fake-store.ts";

const pace: Pace = { amount: 100, per: 1000, burst: 100 };
const BATCH = 5;
const DAY = 86_400_000;

interface World {
  readonly clock: FakeClock;
  readonly store: FakeStore;
  readonly leases: readonly Lease[];
}

/** Sidecars that share a limit by a store. */
function sidecars(count: number, onFailure: OnStoreFailure = "local", share = 1): World {
  const clock = new FakeClock();
  const store = new FakeStore(clock);
  const terms = { name: "test", algorithm: "tokenBucket", pace } as const;
  const leases = Array.from({ length: count }, () => {
    const local = new TokenBucket({ pace: shareOf(pace, share) });
    return new Lease("k", { clock, store, terms: () => terms, batch: () => BATCH, onFailure: () => onFailure, local });
  });
  return { clock, store, leases };
}

/** Offers each sidecar a call every `every` milliseconds for so long; how many passed. */
function offer({ clock, leases }: Pick<World, "clock" | "leases">, ms: number, every = 1): number {
  let passed = 0;
  for (let spent = 0; spent < ms; spent += every) {
    for (const lease of leases) {
      if (!lease.ready(clock.now())) continue;
      lease.take(clock.now());
      passed++;
    }
    clock.advance(every);
  }
  return passed;
}

test("a call never waits for the store: the first one passes before it was asked", () => {
  const { clock, store, leases } = sidecars(1);
  const [lease] = leases;
  assert.ok(lease !== undefined);
  store.latency = 10_000;
  assert.equal(lease.ready(clock.now()), true);
});

test("four sidecars together let through the limit, and a batch each beyond it at most", () => {
  const world = sidecars(4);
  const passed = offer(world, 10_000);
  const allowed = 100 + 10 * 100;
  assert.ok(passed >= allowed * 0.95 && passed <= allowed + 4 * BATCH, `${passed} of ${allowed}`);
  assert.ok(world.store.asked < 2000, `${world.store.asked} questions for ${4 * 10_000} calls`);
});

test("one of four that has all the calls gets all of the limit", () => {
  const world = sidecars(4);
  const [only] = world.leases;
  assert.ok(only !== undefined);
  const passed = offer({ ...world, leases: [only] }, 10_000);
  assert.ok(passed >= 1045 && passed <= 1100 + BATCH, `${passed}`);
});

test("a quiet key keeps nothing from the others and is asked for call by call", () => {
  const world = sidecars(1);
  assert.equal(offer(world, 60_000, 3000), 20);
  assert.equal(world.leases[0]?.held ?? 0, 0);
  assert.ok(world.store.asked <= 40, `${world.store.asked}`);
});

test("what was used on credit is paid, so that credit is given once", () => {
  const world = sidecars(1);
  offer(world, 2000);
  // In any later second: the limit and no more.
  const passed = offer(world, 10_000);
  assert.ok(passed <= 1000 + 1, `${passed}`);
});

test("while the store is gone each sidecar has its local share, within the documented overshoot, and a full limit more after it forgot", () => {
  const world = sidecars(4, "local", 0.25);
  const before = offer(world, 5000);
  assert.ok(before <= 600 + 4 * BATCH, `${before}`);
  world.store.gone = true;
  const during = offer(world, 10_000);
  // Four shares of a quarter: the rate of the limit, each with its burst, and what was in hand or on credit.
  assert.ok(during >= 900 && during <= 1000 + 100 + 4 * 2 * BATCH, `${during} while it is gone`);
  world.store.restart();
  const after = offer(world, 5000);
  assert.ok(after >= 500 && after <= 500 + 100 + 4 * 2 * BATCH, `${after} after it came back`);
  assert.equal(world.store.up, true);
});

test("losing the store is no new beginning: what was used of the local share stays used", () => {
  const world = sidecars(1);
  offer(world, 3000);
  world.store.gone = true;
  const passed = offer(world, 500);
  assert.ok(passed >= 40 && passed <= 50 + 2 * BATCH, `${passed} in half a second of 100 a second`);
});

test("a store that is gone is asked rarely", () => {
  const world = sidecars(1);
  world.store.gone = true;
  offer(world, 10_000);
  assert.ok(world.store.asked <= 45, `${world.store.asked}`);
});

test("a store that stood still has little to give that nobody waits for: a batch, and one call for each question since", () => {
  const world = sidecars(1);
  offer(world, 5000);
  world.store.gone = true;
  offer(world, 20_000);
  assert.ok(world.store.failures > 50, `${world.store.failures} questions`);
  const { orphaned, failures } = world.store;
  assert.ok(orphaned <= 2 * BATCH + failures, `${orphaned} calls in ${failures} questions`);
});

test("onStoreFailure says whether all or none pass while the store is gone", () => {
  for (const [onFailure, least, most] of [
    ["allow", 990, 1000],
    ["deny", 0, BATCH * 2],
  ] as const) {
    const world = sidecars(1, onFailure);
    world.store.gone = true;
    offer(world, 100);
    const passed = offer(world, 1000);
    assert.ok(passed >= least && passed <= most, `${onFailure}: ${passed}`);
  }
});

test("a frozen store costs calls nothing but what is beyond the lease until the answer is overdue", () => {
  const world = sidecars(1);
  offer(world, 1000, 20);
  world.store.latency = 100;
  world.store.gone = true;
  const passed = offer(world, 5000, 20);
  assert.ok(passed >= 240, `${passed} of 250`);
});

test("where the store said that there are none, it is not asked again before it said there will be", () => {
  const world = sidecars(1);
  offer(world, 3000);
  const { asked } = world.store;
  const [lease] = world.leases;
  assert.ok(lease !== undefined);
  while (lease.ready(world.clock.now())) lease.take(world.clock.now());
  for (let at = 0; at < 1000; at++) lease.ready(world.clock.now());
  assert.ok(world.store.asked - asked <= 1, `${world.store.asked - asked}`);
  assert.ok(lease.wait(world.clock.now()) >= 1);
});

/** One holder of a quota of a hundred calls a day, at noon of UTC. */
function daily() {
  const clock = new FakeClock();
  clock.advance(DAY / 2);
  const store = new FakeStore(clock);
  let terms = { name: "test", algorithm: "fixedWindow", pace: { amount: 100, per: DAY, burst: 100 } } as const;
  const local = new FixedWindow({ pace: terms.pace }, clock);
  const options = { clock, store, batch: () => BATCH, onFailure: () => "local" as const, local };
  const lease = new Lease("k", { ...options, terms: () => terms });
  const another = () => {
    terms = { ...terms };
  };
  return { clock, store, leases: [lease], lease, another };
}

test("a quota by day that is used up is asked for rarely, says how long it is until tomorrow, and is there again then", () => {
  const world = daily();
  assert.ok(offer(world, 1000) <= 100 + BATCH);
  const { asked } = world.store;
  assert.equal(offer(world, 60_000, 10), 0);
  assert.ok(world.store.asked - asked <= 6, `${world.store.asked - asked} questions in a minute`);
  const left = DAY - (world.clock.wall() % DAY);
  assert.ok(Math.abs(world.lease.wait(world.clock.now()) - left) < 100);
  world.clock.advance(left);
  const passed = offer(world, 1000);
  assert.ok(passed >= 100 - BATCH && passed <= 100, `${passed} on the next day: what was taken on credit is paid`);
});

test("a quota by day that its store has forgotten, or that is given anew, is noticed within 10 s", () => {
  const world = daily();
  offer(world, 1000);
  world.store.restart();
  const passed = offer(world, 11_000);
  assert.ok(passed >= 100 - BATCH && passed <= 100 + BATCH, `${passed}`);
});

test("under other terms a quota that is used up is asked for at once", () => {
  const world = daily();
  offer(world, 1000);
  world.store.restart();
  assert.equal(offer(world, 100), 0);
  world.another();
  assert.ok(offer(world, 100) >= 1);
});
