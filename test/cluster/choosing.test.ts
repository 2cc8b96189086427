import assert from "node:assert/strict";
import { test } from "node:test";
import type { PickContext } from "../../src/cluster/balancer.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import type { ClusterPolicy } from "../../src/cluster/policy.ts";
import { warmth } from "../../src/cluster/slow-start.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import { makeCall } from "../filters/make-call.ts";
import { seededRandom } from "../support/random.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "./cluster-harness.ts";
import { report, spec } from "./endpoints.ts";

function harness(policy: Partial<ClusterPolicy>, ...specs: EndpointSpec[]): ClusterHarness {
  return new ClusterHarness({ policy: { ...inTurn, ...policy } }, ...specs);
}

/** A call with metadata. */
const calling = (...metadata: [name: string, value: string][]): PickContext => ({
  call: makeCall(metadata),
  tried: undefined,
});

/** The share of picks that each endpoint gets, of a thousand with chances that differ. */
function shares(on: ClusterHarness, context = calling()): Record<string, number> {
  const random = seededRandom(1);
  const counts: Record<string, number> = {};
  for (let n = 0; n < 1000; n++) {
    on.chance = random();
    const id = on.cluster.pick(context)?.id ?? "none";
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

function near(count: number | undefined, expected: number): void {
  assert.ok(Math.abs((count ?? 0) - expected) <= 60, `${count} for ${expected}`);
}

async function refuse(on: ClusterHarness, ...ports: number[]): Promise<void> {
  for (const port of ports) {
    on.on(port).mode = "refuse";
    on.endpoint(String(port)).pool.probe();
  }
  await on.clock.pass(0);
}

function fail(endpoint: Endpoint, at: number, times = 5): void {
  for (let n = 0; n < times; n++) {
    endpoint.started();
    endpoint.done(report("ok", { status: 14, startedAt: at, endedAt: at }));
  }
}

// --- zones and priorities ---

const zoned = (): EndpointSpec[] => [
  spec(1, { zone: "a" }),
  spec(2, { zone: "a" }),
  spec(3, { zone: "b" }),
  spec(4, { zone: "b" }),
];
const ownZone = { levels: { zone: "a", priorities: [], spillBelow: 0.7, spillAbove: undefined } };

test("the own zone takes all calls while enough of it is usable, and others the rest below that", async () => {
  const on = harness(ownZone, ...zoned());
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2"]);
  await refuse(on, 2);
  const half = shares(on);
  near(half["1"], 714); // 0.5 / 0.7
  near(half["3"], 143);
  near(half["4"], 143);
  await refuse(on, 1);
  assert.deepEqual(Object.keys(shares(on)).sort(), ["3", "4"]);
  on.on(1).mode = "accept";
  on.on(2).mode = "accept";
  await on.clock.pass(60_000);
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2"], "and back again");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("where the own zone has too much to do others take the rest, until they have as much", () => {
  const on = harness({ levels: { ...ownZone.levels, spillAbove: 2 } }, ...zoned());
  const busy = (id: string, calls: number): void => {
    for (let n = 0; n < calls; n++) on.endpoint(id).started();
  };
  busy("1", 1);
  busy("2", 1);
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2"]);
  busy("1", 1);
  busy("2", 1);
  assert.deepEqual(Object.keys(shares(on)).sort(), ["3", "4"]);
  busy("3", 2);
  busy("4", 2);
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2"], "no other zone is better off");
});

test("a zone without an endpoint goes to the others", () => {
  const on = harness({ levels: { ...ownZone.levels, zone: "z" } }, ...zoned());
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2", "3", "4"]);
});

test("a call that has tried its zone goes on to the others", () => {
  const on = harness(ownZone, ...zoned());
  const tried = [on.endpoint("1"), on.endpoint("2")];
  assert.ok(["3", "4"].includes(on.pick(...tried)?.id ?? ""));
});

test("priorities go by meta, in their order, and what has none of them comes last", async () => {
  const levels = {
    zone: undefined,
    priorities: [{ role: "primary" }, { role: "backup" }],
    spillBelow: 0.7,
    spillAbove: undefined,
  };
  const on = harness(
    { levels },
    spec(1),
    spec(2, { meta: { role: "backup" } }),
    spec(3, { meta: { role: "primary" } }),
  );
  assert.deepEqual(shares(on), { "3": 1000 });
  await refuse(on, 3);
  assert.deepEqual(shares(on), { "2": 1000 });
  await refuse(on, 2);
  assert.deepEqual(shares(on), { "1": 1000 });
});

// --- subsets ---

const versions = (): EndpointSpec[] => [
  spec(1, { meta: { version: "v1", public: "1" } }),
  spec(2, { meta: { version: "v2", public: "1" } }),
  spec(3, { meta: { version: "v2" } }),
];

test("a subset is matched by meta, for all calls and by what a call asks for", () => {
  const on = harness(
    { subsets: { match: { public: "1" }, byMetadata: { "x-version": "version" }, otherwise: "refuse" } },
    ...versions(),
  );
  assert.deepEqual(Object.keys(shares(on)).sort(), ["1", "2"]);
  const v2 = calling(["x-version", "v2"]);
  assert.deepEqual(shares(on, v2), { "2": 1000 });
  const v3 = calling(["x-version", "v3"]);
  assert.equal(on.cluster.pick(v3), undefined);
  assert.deepEqual(on.cluster.noneReason(v3.call), {
    reason: "NO_MATCHING_SUBSET",
    detail: "none of 3 instances of orders has the meta that the call asks for",
  });
  on.discover(...versions(), spec(4, { meta: { version: "v3", public: "1" } }));
  assert.deepEqual(shares(on, v3), { "4": 1000 });
});

test("with otherwise: any a call that nobody fits goes to anybody", () => {
  const on = harness(
    { subsets: { match: {}, byMetadata: { "x-version": "version" }, otherwise: "any" } },
    ...versions(),
  );
  assert.equal(Object.keys(shares(on, calling(["x-version", "v9"]))).length, 3);
  assert.equal(Object.keys(shares(on, calling(["x-version", "v2"]))).length, 2);
});

test("values that callers make up are not remembered", () => {
  const on = harness(
    { subsets: { match: {}, byMetadata: { "x-version": "version" }, otherwise: "refuse" } },
    ...versions(),
  );
  for (let n = 0; n < 1000; n++) on.cluster.pick(calling(["x-version", `made up ${n}`]));
  const selection: unknown = Reflect.get(on.cluster, "selection");
  const known: unknown = Reflect.get(selection ?? {}, "subsets");
  assert.ok(known instanceof Map && known.size === 0);
});

// --- session affinity ---

test("a caller that sends the field back stays at its endpoint, over changes of the set, until that is gone", async () => {
  const on = harness({ affinity: { by: "metadata", name: "x-session" } }, spec(1), spec(2), spec(3));
  const first = on.pick() ?? assert.fail();
  const field = first.sessionField(makeCall()) ?? assert.fail();
  assert.equal(field[0], "x-session");
  assert.doesNotMatch(field[1], /127|:1/, "it shows no address");
  const again = calling([field[0], field[1]]);
  assert.equal(first.sessionField(again.call), undefined, "the caller has it already");
  assert.deepEqual(shares(on, again), { [first.id]: 1000 });
  on.discover(spec(9), spec(8), spec(1), spec(3), spec(2));
  assert.deepEqual(shares(on, again), { [first.id]: 1000 });
  assert.notEqual(on.cluster.pick({ ...again, tried: [first] }), first);
  fail(first, on.clock.now());
  assert.equal(shares(on, again)[first.id], undefined, "ejected");
  assert.ok(on.cluster.pick(calling(["x-session", "forged"])) !== undefined);
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("a cookie keeps a caller at its endpoint as metadata does, beside cookies of others", async () => {
  const on = harness({ affinity: { by: "cookie", name: "session", maxAge: 90_500 } }, spec(1), spec(2), spec(3));
  const first = on.pick() ?? assert.fail();
  const [name, value] = first.sessionField(makeCall()) ?? assert.fail();
  assert.equal(name, "set-cookie");
  assert.equal(value, `session=${first.token}; Path=/; Max-Age=91; HttpOnly; SameSite=Lax`);
  const again = calling(["cookie", `theme=dark; session=${first.token}`]);
  assert.equal(first.sessionField(again.call), undefined, "the caller has it already");
  assert.deepEqual(shares(on, again), { [first.id]: 1000 });
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

// --- an aperture ---

test("a sidecar with an aperture calls so many endpoints of a level, and others once those are out", async () => {
  const on = harness({ aperture: 2 }, spec(1), spec(2), spec(3), spec(4));
  const called = Object.keys(shares(on));
  assert.equal(called.length, 2);
  const [first = ""] = called;
  await refuse(on, Number(first));
  const then = Object.keys(shares(on));
  assert.equal(then.length, 2);
  assert.ok(!then.includes(first));
  assert.ok(
    then.some((id) => called.includes(id)),
    "what works stays",
  );
  on.cluster.usePolicy(inTurn);
  assert.equal(Object.keys(shares(on)).length, 3);
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

// --- slow start ---

test("the curve of slow start begins at its share and ends whole", () => {
  const linear = { window: 10_000, aggression: 1, from: 0.1 };
  assert.deepEqual(
    [0, 500, 2500, 5000, 10_000].map((age) => warmth(age, linear)),
    [0.1, 0.1, 0.25, 0.5, 1],
  );
  assert.equal(warmth(2500, { ...linear, aggression: 2 }), 0.5);
  assert.equal(warmth(5000, { ...linear, aggression: 0.5 }), 0.25);
});

test("a new endpoint gets its share little by little, never above its curve; the first of a service do not wait", async () => {
  const slowStart = { window: 20_000, aggression: 1, from: 0.1 };
  const on = harness({ slowStart }, spec(1), spec(2));
  near(shares(on)["1"], 500);
  on.discover(spec(1), spec(2), spec(3));
  assert.equal(on.cluster.stats()[2]?.state, "slowStart");
  for (let age = 0; age < 20_000; age += 2000) {
    const due = warmth(age, slowStart);
    const got = shares(on)["3"] ?? 0;
    assert.ok(got <= (1000 * due) / (2 + due) + 1.5, `${got} at ${age} ms`);
    await on.clock.pass(2000);
  }
  near(shares(on)["3"], 333);
  assert.equal(on.cluster.stats()[2]?.state, "up");
  assert.equal(on.cluster.stats()[2]?.effectiveWeight, 1);
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("where nobody is warm nobody is spared", async () => {
  const on = harness({ slowStart: { window: 20_000, aggression: 1, from: 0.1 } }, spec(1));
  await refuse(on, 1);
  on.discover(spec(1), spec(2));
  assert.equal(on.cluster.stats()[1]?.effectiveWeight, 1, "it has to take everything");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

// --- failover and panic ---

test("another upstream takes the calls that nobody is left for, and gives them back", async () => {
  const on = harness({}, spec(1));
  const other = harness({}, spec(7));
  on.cluster.useFailover([other.cluster]);
  assert.equal(on.pick()?.id, "1");
  await refuse(on, 1);
  assert.equal(on.pick()?.id, "7");
  other.discover();
  assert.match(on.cluster.noneReason().detail, /, nor is there one of orders$/);
  other.discover(spec(7));
  on.discover();
  assert.equal(on.pick()?.id, "7");
  on.discover(spec(1));
  on.on(1).mode = "accept";
  await on.clock.pass(20_000);
  assert.equal(on.pick()?.id, "1");
  assert.equal(on.pick(on.endpoint("1"))?.id, "7", "a call that has tried all of its own goes on");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("where too few are healthy health is ignored, which is said, and where it never is calls are refused", () => {
  const settings = { ...inTurn.outlierDetection, maxEjected: 1 };
  const on = harness({ outlierDetection: settings, panicThreshold: 0.5 }, spec(1), spec(2), spec(3));
  fail(on.endpoint("1"), 0);
  assert.equal(on.cluster.panic, false);
  assert.deepEqual(Object.keys(shares(on)), ["2", "3"]);
  fail(on.endpoint("2"), 0);
  assert.equal(on.cluster.panic, true);
  assert.equal(Object.keys(shares(on)).length, 3);
  on.cluster.usePolicy({ ...inTurn, outlierDetection: settings, panicThreshold: 0 });
  fail(on.endpoint("3"), 0);
  assert.equal(on.pick(), undefined);
  assert.deepEqual(on.cluster.noneReason(), {
    reason: "ALL_EJECTED",
    detail: "none of 3 instances of orders is healthy, 127.0.0.1:1: 5 failures in a row, the last: status 14",
  });
});

test("skew is said once there are enough calls to say it by", () => {
  const on = harness({}, spec(1), spec(2));
  assert.equal(on.cluster.skew, undefined);
  for (let n = 0; n < 100; n++) on.endpoint(n % 4 === 0 ? "2" : "1").started();
  on.clock.advance(10_000);
  assert.equal(on.cluster.skew, 1.5);
});

test("whoever asks later why a call went where it did is told of subsets, ejections, slow starts and panic", () => {
  const subsets = { match: {}, byMetadata: { "x-version": "version" }, otherwise: "refuse" } as const;
  const slowStart = { window: 20_000, aggression: 1, from: 0.1 };
  const on = harness({ subsets, slowStart }, ...versions());
  fail(on.endpoint("3"), 0);
  on.discover(...versions(), spec(4, { meta: { version: "v2" } }));
  const words = (context: PickContext): string[] =>
    on.cluster.candidates.explain(context.call).map(({ verdict }) => verdict);
  assert.deepEqual(words(calling(["x-version", "v2"])), [
    "not eligible: it has not the meta that is asked for",
    "eligible",
    "not eligible: ejected: 5 failures in a row, the last: status 14",
    "eligible, with 10% of its weight",
  ]);
  on.cluster.usePolicy({ ...inTurn, panicThreshold: 1 });
  assert.deepEqual(words(calling()), ["eligible", "eligible", "eligible", "eligible"]);
});
