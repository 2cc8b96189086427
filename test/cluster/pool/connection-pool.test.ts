import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../../src/http2/errors.ts";
import { settled } from "../../support/clock.ts";
import { NOTHING_LEFT, PoolHarness } from "./harness.ts";

test("the first call waits for a dial, and calls that come meanwhile share it, in their order", async () => {
  const harness = new PoolHarness();
  const calls = harness.burst(20);
  assert.deepEqual(harness.states, { waiting: 20 });
  await settled();
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(
    calls.map(({ stream }) => stream?.id),
    calls.map((_, at) => 1 + 2 * at),
  );
  await settled();
  assert.deepEqual(harness.states, { answered: 20 });
  assert.deepEqual(harness.heard, ["reachable"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("calls are multiplexed over one connection while the peer allows it", async () => {
  const harness = new PoolHarness();
  harness.call();
  await settled();
  harness.server.answers = false;
  harness.burst(79);
  await settled();
  assert.equal(harness.server.dials, 1);
  harness.call();
  await settled();
  assert.equal(harness.server.dials, 2, "with the 80th of 100 streams another connection is opened");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

for (const limit of [1, 10, 100]) {
  test(`a peer that allows ${limit} streams serves 300 calls at once, and refuses none`, async () => {
    const harness = new PoolHarness({ firstStream: "afterSettings" });
    harness.server.maxStreams = limit;
    harness.server.answers = false;
    harness.burst(300);
    await settled(1000);
    assert.deepEqual(harness.states, { open: 300 });
    const connections = harness.server.accepted.length;
    assert.ok(connections >= 300 / limit && connections <= (300 / limit) * 1.25 + 4, `${connections} connections`);
    for (const { connection } of harness.server.accepted) assert.ok(connection.activeStreams <= limit);
    harness.answerAll();
    await settled(50);
    assert.deepEqual(harness.states, { answered: 300 });
    assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  });

  test(`with a peer that allows ${limit} streams, streams that stay open never have a call wait`, async () => {
    const harness = new PoolHarness();
    harness.server.maxStreams = limit;
    harness.call();
    await settled();
    harness.server.answers = false;
    for (let n = 0; n < limit * 5; n++) {
      const call = harness.call();
      assert.equal(call.state, "open", `call ${n}`);
      await settled();
    }
    assert.equal(harness.states.aborted, undefined);
    assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  });
}

test("calls may go out before the peer's SETTINGS, but not once its limit is known to be low", async () => {
  const harness = new PoolHarness({ firstStream: "atOnce" });
  harness.server.maxStreams = 2;
  harness.server.answers = false;
  harness.burst(3);
  await settled();
  assert.deepEqual(
    harness.calls.map(({ state }) => state),
    ["open", "open", "aborted"],
    "the third one went out before anybody knew",
  );
  harness.burst(20);
  await settled(100);
  assert.equal(harness.calls.filter(({ state }) => state === "aborted").length, 1, "and no other one did");
  assert.equal(harness.calls.filter(({ state }) => state === "open").length, 22);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that allows no stream is not dialled again and again, and serves once it allows one", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.server.maxStreams = 0;
  harness.burst(5);
  await harness.clock.pass(60_000);
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(harness.states, { waiting: 5 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  assert.deepEqual(harness.states, { failed: 5 });
});

test("not more than four connections are in the making at once", async () => {
  const harness = new PoolHarness();
  harness.server.maxStreams = 1;
  harness.server.answers = false;
  harness.call();
  await settled();
  harness.server.mode = "hang";
  const { dials } = harness.server;
  harness.burst(100);
  await settled();
  assert.equal(harness.server.dials - dials, 4);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("connections are bounded; calls beyond wait for a stream to end", async () => {
  const harness = new PoolHarness({ maxConnections: 3, firstStream: "afterSettings" });
  harness.server.maxStreams = 2;
  harness.server.answers = false;
  harness.burst(10);
  await settled(50);
  assert.deepEqual(harness.states, { open: 6, waiting: 4 });
  assert.equal(harness.server.dials, 3);
  harness.answerAll();
  await settled();
  harness.answerAll();
  await settled();
  assert.deepEqual(harness.states, { answered: 10 });
  assert.equal(harness.server.dials, 3);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("calls that wait are bounded: one more is told so, and not before wait has returned", async () => {
  const harness = new PoolHarness({ maxWaiting: 10 });
  harness.server.mode = "hang";
  harness.burst(10);
  const late = harness.call();
  assert.equal(late.state, "waiting");
  await settled();
  assert.deepEqual([late.state, late.reason], ["failed", "QUEUE_FULL"]);
  assert.match(late.message, /^10 calls wait for a connection to 127\.0\.0\.1:1 already$/);
  const gone = harness.call();
  gone.giveUp();
  await settled();
  assert.equal(gone.state, "gave up", "a call that gives up before it is told hears nothing");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call that gives up waiting leaves its place to the next", async () => {
  const harness = new PoolHarness({ maxWaiting: 2 });
  const [first, second] = harness.burst(2);
  first?.giveUp();
  first?.giveUp();
  const third = harness.call();
  await settled();
  assert.deepEqual([first?.state, second?.state, third.state], ["gave up", "answered", "answered"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("who waits is told when the dial fails, after the watcher", async () => {
  const harness = new PoolHarness();
  harness.server.mode = "refuse";
  harness.burst(2);
  harness.pool.wait({
    onConnection: () => assert.fail("there is none"),
    onFailed: () => harness.heard.push("waiter told"),
  });
  await settled();
  assert.deepEqual(harness.heard, ["CONNECT_REFUSED", "waiter told"]);
  assert.deepEqual(harness.states, { failed: 2 });
  assert.equal(harness.calls[0]?.reason, "CONNECT_REFUSED");
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a probe dials once, and not where a connection stands", async () => {
  const harness = new PoolHarness();
  harness.pool.probe();
  harness.pool.probe();
  await settled();
  assert.deepEqual(harness.heard, ["reachable"]);
  harness.pool.probe();
  await settled();
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a connection that ends before HTTP/2 began is a failure to connect", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.server.mode = "slam";
  const call = harness.call();
  await settled();
  assert.deepEqual([call.state, call.reason], ["failed", "CONNECT_FAILED"]);
  assert.match(call.message, /^127\.0\.0\.1:1 took the connection and ended it before HTTP\/2 began \(the peer closed/);
  assert.deepEqual(harness.heard, ["CONNECT_FAILED"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("after a failure a connection has to prove itself before a call goes out on it", async () => {
  const harness = new PoolHarness({ firstStream: "atOnce" });
  harness.server.mode = "slam";
  const first = harness.call();
  await settled();
  assert.equal(first.abort?.kind, "unsent", "this one had a connection at once");
  const second = harness.call();
  await settled();
  assert.deepEqual([second.state, second.reason], ["failed", "CONNECT_FAILED"], "this one did not");
  harness.server.mode = "accept";
  const third = harness.call();
  await settled();
  assert.equal(third.state, "answered");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that says nothing is a failure to connect after a while", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.server.mode = "mute";
  const call = harness.call();
  await harness.clock.pass(4999);
  assert.equal(call.state, "waiting");
  await harness.clock.pass(1);
  assert.deepEqual([call.state, call.reason], ["failed", "CONNECT_FAILED"]);
  assert.match(call.message, /ended it before HTTP\/2 began \(no SETTINGS came in time\)/);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a stream that we end ourselves, or a GOAWAY, is no proof that a peer speaks HTTP/2", async () => {
  const harness = new PoolHarness({ firstStream: "atOnce" });
  harness.server.mode = "mute";
  const call = harness.call();
  await settled();
  call.stream?.reset(ErrorCode.CANCEL);
  harness.server.muted[0]?.destroy();
  await settled();
  assert.deepEqual(harness.heard, ["reachable", "CONNECT_FAILED"]);

  const other = new PoolHarness({ firstStream: "atOnce" });
  other.server.mode = "mute";
  other.burst(2);
  await settled();
  other.server.muted[0]?.write(Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  await settled();
  assert.deepEqual(other.heard, ["reachable", "CONNECT_FAILED"]);
  assert.deepEqual([await harness.leftovers(), await other.leftovers()], [NOTHING_LEFT, NOTHING_LEFT]);
});

test("of several dials at once one that fails hurts nobody while another may stand", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.server.maxStreams = 1;
  harness.call();
  await settled(8);
  for (const { transport } of harness.server.standing) transport.cut();
  await settled();
  assert.equal(harness.pool.size, 0);
  harness.server.next.push("refuse", "slam", "accept", "refuse");
  const calls = harness.burst(4);
  await settled(20);
  assert.deepEqual(
    calls.map(({ state }) => state),
    ["answered", "answered", "answered", "answered"],
  );
  assert.ok(harness.heard.every((word) => word === "reachable"));
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a connection that goes away makes room for another, where calls wait and no more were allowed", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings", maxConnections: 2 });
  harness.server.maxStreams = 1;
  harness.server.answers = false;
  harness.burst(3);
  await settled(20);
  assert.deepEqual(harness.states, { open: 2, waiting: 1 });
  harness.server.standing[0]?.transport.cut();
  await settled();
  assert.deepEqual(harness.states, { aborted: 1, open: 2 });
  assert.equal(harness.server.dials, 3);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a dial that fails beside connections that stand hurts nobody, and is repeated while calls wait", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.server.maxStreams = 10;
  harness.server.answers = false;
  harness.burst(7);
  await settled();
  assert.equal(harness.server.dials, 1);
  harness.server.mode = "refuse";
  harness.burst(3);
  const waiting = harness.call();
  await harness.clock.pass(60_000);
  const { dials } = harness.server;
  assert.ok(dials > 5 && dials < 60, `${dials} dials in a minute`);
  assert.equal(waiting.state, "waiting");
  assert.deepEqual(harness.heard, ["reachable"]);
  harness.answerAll();
  await settled();
  assert.equal(waiting.state, "open", "the streams that ended made room");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a surplus connection that nobody needs is closed after a while, the first one stays", async () => {
  const harness = new PoolHarness({ surplusIdle: 30_000 });
  harness.server.maxStreams = 10;
  harness.call();
  await settled();
  harness.server.answers = false;
  harness.burst(25);
  await settled(20);
  harness.answerAll();
  await settled();
  const most = harness.pool.size;
  assert.ok(most >= 3, `${most} connections`);
  await harness.clock.pass(20_000);
  assert.equal(harness.pool.size, most);
  await harness.clock.pass(11_000);
  assert.equal(harness.pool.size, 1);
  await harness.clock.pass(600_000);
  assert.equal(harness.pool.size, 1);
  assert.equal(harness.clock.pending, 0, "and nothing looks at it any more");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a surplus connection that has a stream now and then is kept", async () => {
  const harness = new PoolHarness({ surplusIdle: 4000 });
  harness.server.maxStreams = 4;
  harness.call();
  await settled();
  harness.server.answers = false;
  for (let round = 0; round < 20; round++) {
    harness.burst(5);
    await settled(10);
    await harness.clock.pass(1000);
    harness.answerAll();
    await settled();
    assert.ok(harness.pool.size > 1, `round ${round}`);
    await harness.clock.pass(2000);
  }
  assert.ok(harness.server.dials < 6, `${harness.server.dials} dials`);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});
