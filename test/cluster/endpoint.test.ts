import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../support/clock.ts";
import { ClusterHarness, NOTHING_LEFT } from "./cluster-harness.ts";
import { idleEndpoints, report, spec } from "./endpoints.ts";

/** A cluster of two, the first of which refuses connections; one call has found that out. */
async function halfDown(): Promise<ClusterHarness> {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  harness.on(1).mode = "refuse";
  assert.deepEqual(await harness.call(), { id: "1", outcome: "CONNECT_REFUSED" });
  return harness;
}

test("an endpoint that refuses a connection is out before the call that found out is told", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  harness.on(1).mode = "refuse";
  const endpoint = harness.pick() ?? assert.fail();
  let next: string | undefined;
  endpoint.pool.wait({
    onConnection: () => assert.fail("it refuses"),
    onFailed: () => {
      next = harness.picks(3);
    },
  });
  await settled();
  assert.equal(next, "2 2 2");
  assert.equal(endpoint.state.kind, "unreachable");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that is out is tried again without calls, ever less often, and is back when a connection stands", async () => {
  const harness = await halfDown();
  harness.chance = 0.9;
  const server = harness.on(1);
  const dialsIn = async (ms: number) => {
    const before = server.dials;
    await harness.clock.pass(ms);
    return server.dials - before;
  };
  // The waits are 100 ms and nine tenths of 100 ms, doubled each time, of 9.9 s at most.
  assert.equal(await dialsIn(99), 0);
  assert.equal(await dialsIn(900), 3);
  assert.equal(await dialsIn(9000), 3);
  assert.equal(await dialsIn(90_000), 10);
  server.mode = "accept";
  assert.equal(await dialsIn(10_000), 1);
  assert.equal(harness.endpoint("1").state.kind, "up");
  assert.equal(harness.picks(3), "2 1 2");
  assert.equal(harness.clock.pending, 0, "nothing is tried any more");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that failed again after it was back is tried as soon as one that failed for the first time", async () => {
  const harness = await halfDown();
  harness.chance = 0.9;
  await harness.clock.pass(60_000);
  harness.on(1).mode = "accept";
  await harness.clock.pass(10_000);
  harness.on(1).mode = "refuse";
  harness.on(1).accepted[0]?.transport.cut();
  await settled();
  await harness.call();
  await harness.call();
  assert.equal(harness.endpoint("1").state.kind, "unreachable");
  const { dials } = harness.on(1);
  await harness.clock.pass(1000);
  assert.equal(harness.on(1).dials - dials, 3);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a probe that reaches a peer which speaks no HTTP/2 does not bring the endpoint back", async () => {
  const harness = await halfDown();
  harness.on(1).mode = "slam";
  await harness.clock.pass(60_000);
  const { state } = harness.endpoint("1");
  assert.ok(state.kind === "unreachable");
  assert.equal(state.failure.reason, "CONNECT_FAILED");
  assert.equal(harness.picks(3), "2 2 2");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("going out and coming back is logged once each, with the address and the reason", async () => {
  const harness = await halfDown();
  await harness.clock.pass(30_000);
  harness.on(1).mode = "accept";
  await harness.clock.pass(10_000);
  assert.deepEqual(
    harness.lines.map(({ level, upstream, endpoint, reason, msg }) => ({ level, upstream, endpoint, reason, msg })),
    [
      {
        level: 40,
        upstream: "orders",
        endpoint: "127.0.0.1:1",
        reason: "CONNECT_REFUSED",
        msg: "connection refused",
      },
      {
        level: 30,
        upstream: "orders",
        endpoint: "127.0.0.1:1",
        reason: undefined,
        msg: "127.0.0.1:1 can be reached again after 30 s",
      },
    ],
  );
  const [stats] = harness.cluster.stats();
  assert.equal(stats?.lastError, "connection refused", "people still see what it was");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where all are out a call fails at once with the last reason, and says of how many", async () => {
  const harness = await halfDown();
  harness.on(2).mode = "refuse";
  assert.deepEqual(await harness.call(), { id: "2", outcome: "CONNECT_REFUSED" });
  assert.equal(harness.pick(), undefined);
  assert.deepEqual(harness.cluster.noneReason(), {
    reason: "CONNECT_REFUSED",
    detail: "none of 2 instances can be reached, the last try: connection refused",
  });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where all are out the reason is that of the latest failure, whichever endpoint it was", async () => {
  const harness = new ClusterHarness({ probeCap: 1_000_000 }, spec(1), spec(2), spec(3));
  harness.chance = 0.9;
  harness.on(1).mode = "slam";
  harness.on(2).mode = "hang";
  harness.on(3).mode = "refuse";
  const ids = harness.picks(3).split(" ").map(Number);
  for (const id of ids) harness.endpoint(String(id)).pool.probe();
  await harness.clock.pass(5000);
  assert.equal(harness.cluster.noneReason().reason, "CONNECT_TIMEOUT");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a single endpoint that is out gives its own reason", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1));
  harness.on(1).mode = "hang";
  const call = harness.call();
  await harness.clock.pass(5000);
  assert.deepEqual(await call, { id: "1", outcome: "CONNECT_TIMEOUT" });
  assert.deepEqual(harness.cluster.noneReason(), {
    reason: "CONNECT_TIMEOUT",
    detail: "no connection within 5000 ms",
  });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where all are out a call tries one that was left alone for a second, and goes on if it stands again", async () => {
  const harness = new ClusterHarness({ probeCap: 1_000_000 }, spec(1));
  harness.chance = 0.9;
  harness.on(1).mode = "refuse";
  await harness.call();
  // Until the next try by itself is minutes away.
  await harness.clock.pass(200_000);
  const { dials } = harness.on(1);
  const refused = { id: "1", outcome: "CONNECT_REFUSED" };
  assert.deepEqual(await Promise.all([harness.call(), harness.call()]), [refused, refused]);
  assert.equal(harness.on(1).dials, dials + 1, "one try for both");
  await harness.clock.pass(999);
  assert.deepEqual(await harness.call(), { id: "none", outcome: "CONNECT_REFUSED" });
  assert.equal(harness.on(1).dials, dials + 1, "too soon");
  harness.on(1).mode = "accept";
  await harness.clock.pass(1);
  const answered = { id: "1", outcome: "answered" };
  assert.deepEqual(await Promise.all([harness.call(), harness.call()]), [answered, answered]);
  assert.equal(harness.on(1).dials, dials + 2);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call joins a try that is under way, and does not try again what it has tried", async () => {
  const harness = new ClusterHarness({}, spec(1), spec(2));
  harness.on(1).mode = "refuse";
  harness.on(2).mode = "refuse";
  await harness.call();
  await harness.call();
  const [one, two] = [harness.endpoint("1"), harness.endpoint("2")];
  assert.equal(harness.pick(), undefined);
  // The tries begin, and nothing has come of them yet.
  harness.clock.advance(100);
  assert.deepEqual([harness.pick()?.id, harness.pick(one)?.id, harness.pick(two)?.id], ["1", "2", "1"]);
  assert.equal(harness.pick(one, two), undefined);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call does not wait for an endpoint that does not answer at all, but has it tried", async () => {
  const harness = new ClusterHarness({ probeCap: 1_000_000 }, spec(1));
  harness.chance = 0.9;
  harness.on(1).mode = "hang";
  const first = harness.call();
  await harness.clock.pass(5000);
  assert.equal((await first).outcome, "CONNECT_TIMEOUT");
  await harness.clock.pass(300_000);
  const { dials } = harness.on(1);
  harness.on(1).mode = "accept";
  assert.deepEqual(await harness.call(), { id: "none", outcome: "CONNECT_TIMEOUT" });
  assert.equal(harness.on(1).dials, dials + 1);
  await settled();
  assert.deepEqual(await harness.call(), { id: "1", outcome: "answered" });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that leaves while it is out is not tried any more", async () => {
  const harness = await halfDown();
  const armed = harness.clock.pending;
  harness.discover(spec(2));
  assert.equal(harness.clock.pending, armed - 1);
  const { dials } = harness.on(1);
  await harness.clock.pass(60_000);
  assert.equal(harness.on(1).dials, dials);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that comes back into discovery's answer is a new one, and is picked", async () => {
  const harness = await halfDown();
  harness.discover(spec(2));
  harness.on(1).mode = "accept";
  harness.discover(spec(1), spec(2));
  assert.equal(harness.endpoint("1").state.kind, "up");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an endpoint that dies is out before the next call comes, where it was in use", async () => {
  const harness = new ClusterHarness();
  harness.discover(spec(1), spec(2));
  for (let n = 0; n < 4; n++) await harness.call();
  await harness.clock.pass(500);
  harness.on(1).mode = "refuse";
  harness.on(1).accepted[0]?.transport.cut();
  await settled();
  assert.equal(harness.picks(4), "2 2 2 2");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("what is in flight and what failed is counted; a cancelled attempt is no failure", () => {
  const [endpoint] = idleEndpoints(1);
  assert.ok(endpoint !== undefined);
  for (let n = 0; n < 4; n++) endpoint.started();
  endpoint.done(report("ok"));
  endpoint.done(report("failure"));
  endpoint.done(report("cancelled"));
  const { inFlight, selected, failures } = endpoint;
  assert.deepEqual({ inFlight, selected, failures }, { inFlight: 1, selected: 4, failures: 1 });
});
