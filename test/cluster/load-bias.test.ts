import assert from "node:assert/strict";
import { test } from "node:test";
import { type BalancerName, balancers, hashing } from "../../src/cluster/balancers/index.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { type BiasSettings, LoadBias } from "../../src/cluster/load-bias.ts";
import { defaultBias } from "../../src/cluster/policy.ts";
import { TokenBucket } from "../../src/core/token-bucket.ts";
import { seededRandom } from "../support/random.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "./cluster-harness.ts";
import { ANY, report, spec } from "./endpoints.ts";

const settings: BiasSettings = { floor: 0.1, hold: 1000, maxHold: 30_000, recovery: 10_000 };
/** Those that go by weights that may change all the time. */
const weighing = Object.entries(balancers).filter(([name]) => !hashing.has(name) && name !== "pickFirst");

/** The endpoint refuses a call. */
function refuse(on: ClusterHarness, endpoint: Endpoint, wait = 0): void {
  const now = on.clock.now();
  endpoint.started();
  endpoint.done(report("ok", { status: 8, overLimit: wait, startedAt: now, answeredAt: now, endedAt: now }));
}

/** The share of picks that each endpoint gets, of ten thousand with chances that differ. */
function shareOf(on: ClusterHarness, id: string): number {
  const random = seededRandom(1);
  let count = 0;
  for (let n = 0; n < 10_000; n++) {
    on.chance = random();
    if (on.cluster.pick(ANY)?.id === id) count++;
  }
  return count / 10_000;
}

function near(share: number, expected: number): void {
  assert.ok(Math.abs(share - expected) < 0.02, `${share} for ${expected}`);
}

test("a refusal halves what is due, once for those that were on their way, down to the floor and never to nothing", () => {
  const bias = new LoadBias(() => settings);
  assert.equal(bias.at(0), 1);
  assert.equal(bias.refused(0, 0), true);
  assert.equal(bias.refused(0, 99), false);
  assert.equal(bias.at(99), 0.5);
  for (let now = 100; now <= 1000; now += 100) bias.refused(0, now);
  assert.equal(bias.at(1000), 0.1);
});

test("it is held for as long as the endpoint says, within bounds, and grows again evenly", () => {
  const bias = new LoadBias(() => settings);
  bias.refused(3000, 0);
  assert.deepEqual(
    [0, 2999, 3000, 4000, 8000, 9000].map((now) => bias.at(now)),
    [0.5, 0.5, 0.5, 0.6, 1, 1],
  );
  bias.refused(86_400_000, 10_000);
  assert.equal(bias.heldUntil, 40_000, "not for a day");
  // One that refuses while it grows is cut from where it is.
  bias.refused(0, 42_000);
  assert.equal(bias.at(42_000), 0.35);
});

for (const [name, balancer] of weighing) {
  test(`${name} gives an endpoint that refuses calls its lower share, and its whole one again`, async () => {
    const policy = { ...inTurn, balancer, loadBias: settings };
    const on = new ClusterHarness({ policy }, spec(1), spec(2), spec(3), spec(4));
    if (name === "peakEwma")
      // Without calls under way it goes by latency alone, which all have alike here.
      for (const endpoint of on.cluster.endpoints) {
        endpoint.started();
        endpoint.done(report("ok", { answeredAt: 10, endedAt: 10 }));
        endpoint.started();
      }
    const before = shareOf(on, "1");
    near(before, 0.25);
    for (let times = 0; times < 5; times++) {
      refuse(on, on.endpoint("1"));
      on.clock.advance(100);
    }
    const [{ state, effectiveWeight } = { state: "", effectiveWeight: 0 }] = on.cluster.stats();
    assert.deepEqual([state, effectiveWeight], ["limited", 0.1], "less, and not out");
    assert.ok(shareOf(on, "1") < 0.05, `${shareOf(on, "1")}`);
    await on.clock.pass(11_000);
    assert.equal(on.cluster.stats()[0]?.state, "up");
    near(shareOf(on, "1"), before);
    assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
  });
}

test("where all refuse alike, all have their share", () => {
  const on = new ClusterHarness({ policy: { ...inTurn, loadBias: settings } }, spec(1), spec(2));
  for (const endpoint of on.cluster.endpoints) refuse(on, endpoint);
  near(shareOf(on, "1"), 0.5);
  assert.equal(on.cluster.overLimit, 2);
});

test("other settings leave an endpoint what it has, and none give it its whole weight at once", async () => {
  const on = new ClusterHarness({ policy: { ...inTurn, loadBias: settings } }, spec(1), spec(2));
  refuse(on, on.endpoint("1"));
  on.cluster.usePolicy({ ...inTurn, loadBias: { ...settings, recovery: 5000 } });
  assert.equal(on.cluster.stats()[0]?.effectiveWeight, 0.5);
  on.cluster.usePolicy(inTurn);
  assert.equal(on.cluster.stats()[0]?.effectiveWeight, 1);
  assert.equal(on.cluster.overLimit, undefined);
  refuse(on, on.endpoint("1"));
  assert.equal(on.cluster.stats()[0]?.effectiveWeight, 1, "off is off");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

interface Service {
  /** Calls a second that each replica takes; it refuses the others at once. */
  readonly limits: readonly number[];
  /** Calls a second, over all sidecars. */
  readonly rate: number;
}

/** The share of calls that are refused, in simulated time: four sidecars, a minute, calls of 10 ms that come by chance. */
function simulate(name: BalancerName, { limits, rate }: Service, loadBias: BiasSettings | undefined): number {
  const random = seededRandom(7);
  const buckets = limits.map(() => new TokenBucket());
  const policy = { ...inTurn, balancer: balancers[name], loadBias };
  const sidecars = Array.from(
    { length: 4 },
    () => new ClusterHarness({ policy }, ...limits.map((_, at) => spec(at + 1))),
  );
  const running: { readonly end: number; readonly begun: number; readonly endpoint: Endpoint }[] = [];
  let [now, calls, refused] = [0, 0, 0];
  while (now < 60_000) {
    const next = now - (Math.log(1 - random()) * 1000) / rate;
    for (const { clock } of sidecars) clock.advance(next - now);
    now = next;
    while ((running[0]?.end ?? now) < now) {
      const ended = running.shift();
      const times = { startedAt: ended?.begun ?? 0, answeredAt: ended?.end ?? 0, endedAt: ended?.end ?? 0 };
      ended?.endpoint.done(report("ok", { status: 0, ...times }));
    }
    const sidecar = sidecars[Math.floor(random() * sidecars.length)];
    if (sidecar === undefined) continue;
    sidecar.chance = random();
    const endpoint = sidecar.cluster.pick(ANY);
    if (endpoint === undefined) continue;
    const replica = Number(endpoint.id) - 1;
    const limit = limits[replica] ?? 0;
    const counts = now > 10_000;
    if (counts) calls++;
    endpoint.started();
    if (buckets[replica]?.take(limit, limit / 10, now) === true) running.push({ end: now + 10, begun: now, endpoint });
    else {
      if (counts) refused++;
      endpoint.done(report("ok", { status: 8, overLimit: 0, startedAt: now, answeredAt: now, endedAt: now }));
    }
  }
  for (const { cluster } of sidecars) cluster.terminate("the simulation is over");
  return refused / calls;
}

test("simulated, a replica that takes a fourth of the others' calls costs a few of a hundred calls instead of every sixth", (t) => {
  const service = { limits: [400, 400, 400, 400, 100], rate: 1200 };
  for (const name of ["roundRobin", "leastRequest", "peakEwma"] as const) {
    const without = simulate(name, service, undefined);
    const aware = simulate(name, service, defaultBias);
    t.diagnostic(`${name}: ${(without * 100).toFixed(1)}% refused, with loadBias ${(aware * 100).toFixed(1)}%`);
    assert.ok(without > 0.1, `${name}: ${without}`);
    assert.ok(aware < without / 4, `${name}: ${aware} instead of ${without}`);
  }
});
