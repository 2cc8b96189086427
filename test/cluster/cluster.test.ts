import assert from "node:assert/strict";
import { test } from "node:test";
import { leastRequest } from "../../src/cluster/balancers/least-request.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { settled } from "../support/clock.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "./cluster-harness.ts";
import { report, spec } from "./endpoints.ts";

test("a cluster of which nothing is known yet has no endpoint, and says who has not answered and why", async () => {
  const harness = new ClusterHarness();
  assert.equal(harness.pick(), undefined);
  assert.deepEqual(harness.cluster.noneReason(), {
    reason: "NO_ENDPOINTS",
    detail: "consul has not answered for orders yet",
  });
  harness.state.set({ kind: "pending", error: "connection refused" });
  assert.match(harness.cluster.noneReason().detail, /yet: connection refused$/);
  assert.equal(harness.cluster.known, false);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("who waits for the first answer is told once, unless it gave up", async () => {
  const harness = new ClusterHarness();
  const told: string[] = [];
  harness.cluster.whenKnown(() => told.push(`a ${harness.pick()?.id}`));
  const giveUp = harness.cluster.whenKnown(() => told.push("b"));
  harness.cluster.whenKnown(() => told.push("c"));
  giveUp();
  giveUp();
  harness.state.set({ kind: "pending", error: "no leader" });
  assert.equal(told.length, 0);
  harness.discover(spec(1));
  harness.discover(spec(1), spec(2));
  assert.deepEqual(told, ["a 1", "c"]);
  harness.cluster.whenKnown(() => told.push("d"));
  assert.deepEqual(told, ["a 1", "c", "d"], "now it is known, and one is told at once");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("who still waits when the cluster is closed is told, and finds no endpoint", async () => {
  const harness = new ClusterHarness();
  let told = 0;
  harness.cluster.whenKnown(() => told++);
  harness.cluster.close();
  harness.cluster.close();
  assert.equal(told, 1);
  assert.ok(harness.cluster.known, "nobody waits for it any more");
  assert.deepEqual(harness.cluster.noneReason(), {
    reason: "NO_ENDPOINTS",
    detail: "upstream orders is no longer configured",
  });
  harness.discover(spec(1));
  assert.equal(harness.pick(), undefined, "what is discovered later changes nothing");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an answer that is known already is taken at once", () => {
  assert.equal(new ClusterHarness({}, spec(1)).picks(1), "1");
});

test("a service without an instance says so, and whether the answer is stale", async () => {
  const harness = new ClusterHarness();
  harness.discover();
  assert.deepEqual(harness.cluster.noneReason(), {
    reason: "NO_ENDPOINTS",
    detail: "consul knows no instance of orders",
  });
  const error = "no cluster leader";
  harness.state.set({ kind: "known", endpoints: [], updatedAt: 1, staleSince: 2, error });
  assert.match(harness.cluster.noneReason().detail, /orders, and no longer answers: no cluster leader$/);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that stays in discovery's answer stays the same, with its connection and its counters", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  for (let n = 0; n < 4; n++) assert.equal((await harness.call()).outcome, "answered");
  const kept = harness.endpoint("2");
  kept.started();
  harness.discover(spec(2, { weight: 3, zone: "b", meta: { version: "v2" } }), spec(3));
  assert.equal(harness.endpoint("2"), kept);
  const { inFlight, selected, weight, zone, meta } = kept;
  assert.deepEqual(
    { inFlight, selected, weight, zone, meta },
    {
      inFlight: 1,
      selected: 1,
      weight: 3,
      zone: "b",
      meta: { version: "v2" },
    },
  );
  for (let n = 0; n < 4; n++) assert.equal((await harness.call()).outcome, "answered");
  assert.equal(harness.on(2).dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a change of weights is seen by the next pick", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  assert.equal(harness.picks(4), "1 2 1 2");
  harness.discover(spec(1, { weight: 3 }), spec(2));
  assert.equal(harness.picks(8), "1 1 2 1 1 1 2 1");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an id whose address changed is another endpoint", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1, { id: "a" }));
  assert.equal((await harness.call()).outcome, "answered");
  const before = harness.endpoint("a");
  harness.discover(spec(2, { id: "a" }));
  assert.notEqual(harness.endpoint("a"), before);
  assert.equal(before.state.kind, "leaving");
  assert.equal((await harness.call()).outcome, "answered");
  assert.equal(harness.on(2).opened, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that left gets no more calls, and ends with its last stream", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  harness.on(1).answers = false;
  const slow = harness.call();
  await settled();
  harness.discover(spec(2));
  assert.equal(harness.picks(3), "2 2 2");
  assert.deepEqual(
    harness.cluster.stats().map(({ id, state, connections }) => [id, state, connections.length]),
    [
      ["2", "up", 0],
      ["1", "leaving", 1],
    ],
  );
  const [accepted] = harness.on(1).accepted;
  for (const stream of accepted?.streams ?? []) harness.on(1).answer(stream);
  assert.equal((await slow).outcome, "answered");
  await settled();
  assert.deepEqual(
    harness.cluster.stats().map(({ id }) => id),
    ["2"],
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call that waits for an endpoint that leaves is told, and finds the new one", async () => {
  const harness = new ClusterHarness();
  harness.on(1).mode = "hang";
  harness.discover(spec(1));
  const endpoint = harness.pick() ?? assert.fail();
  const found: (string | undefined)[] = [];
  endpoint.pool.wait({
    onConnection: () => assert.fail("nobody answers"),
    onFailed: (reason) => found.push(reason, harness.pick(endpoint)?.id),
  });
  harness.discover(spec(2));
  assert.deepEqual(found, ["NO_ENDPOINTS", "2"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an answer with the same endpoints changes nothing", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2), spec(3));
  assert.equal(harness.picks(2), "1 2");
  harness.discover(spec(1), spec(2), spec(3));
  assert.equal(harness.picks(2), "3 1");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("of an id that stands twice the first one counts", async () => {
  const harness = new ClusterHarness({}, spec(1, { id: "a" }), spec(2, { id: "a" }), spec(3));
  assert.deepEqual(
    harness.cluster.stats().map(({ address }) => address),
    ["127.0.0.1:1", "127.0.0.1:3"],
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that ends a connection with an error, or breaks the protocol, is named in the log", async () => {
  const harness = new ClusterHarness({}, spec(1));
  await harness.call();
  harness.on(1).accepted[0]?.connection.close("enough", ErrorCode.ENHANCE_YOUR_CALM);
  await settled();
  await harness.call();
  harness.on(1).accepted[1]?.transport.write(Buffer.alloc(9, 0xff));
  await settled();
  assert.deepEqual(
    harness.lines.map(({ level, upstream, msg }) => [level, upstream, msg.replace(/protocol: .+/, "protocol: …")]),
    [
      [40, "orders", "127.0.0.1:1 ended a connection with ENHANCE_YOUR_CALM enough"],
      [40, "orders", "127.0.0.1:1 broke the protocol: …"],
    ],
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("another balancer takes over with endpoints and connections as they are", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  await harness.call();
  const [one, two] = [harness.endpoint("1"), harness.endpoint("2")];
  harness.cluster.usePolicy({ ...inTurn, balancer: leastRequest });
  assert.equal(harness.cluster.balancerName, "leastRequest");
  two.started();
  assert.equal(harness.picks(4), "1 1 1 1");
  assert.deepEqual([harness.endpoint("1"), harness.endpoint("2")], [one, two]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("closing lets streams end, and terminating does not", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1));
  harness.on(1).answers = false;
  const slow = harness.call();
  await settled();
  harness.cluster.close();
  assert.equal(harness.subscriptions, 0);
  assert.equal(harness.pick(), undefined);
  await harness.clock.pass(60_000);
  assert.equal(harness.cluster.stats().length, 1, "its stream is still open");
  harness.cluster.terminate("the grace is over");
  assert.equal((await slow).outcome, "aborted");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("what people see of a cluster holds every endpoint with its load, health and connections", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1, { weight: 2, zone: "a", meta: { version: "v1" } }));
  await harness.call();
  harness.endpoint("1").started();
  harness.endpoint("1").done(report("failure"));
  const [stats] = harness.cluster.stats();
  assert.ok(stats !== undefined);
  const { connections, ...rest } = stats;
  assert.deepEqual(rest, {
    id: "1",
    address: "127.0.0.1:1",
    state: "up",
    weight: 2,
    effectiveWeight: 2,
    zone: "a",
    meta: { version: "v1" },
    inFlight: 0,
    selected: 1,
    failures: 1,
    waiting: 0,
    lastError: undefined,
    unhealthy: undefined,
    ejected: undefined,
  });
  assert.deepEqual(
    connections.map(({ state, streams, maxStreams }) => [state, streams, maxStreams]),
    [["open", 0, 100]],
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});
