import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../../src/http2/errors.ts";
import { settled } from "../../support/clock.ts";
import { seededRandom } from "../../support/random.ts";
import { NOTHING_LEFT, PoolHarness } from "./harness.ts";

/** A pool with one connection and `streams` open streams on it. */
async function busyPool(streams: number): Promise<PoolHarness> {
  const harness = new PoolHarness();
  harness.call();
  await settled();
  harness.server.answers = false;
  harness.burst(streams);
  await settled();
  return harness;
}

test("a peer that says GOAWAY gets no more streams, keeps those it has, and is replaced before anybody asks", async () => {
  const harness = await busyPool(3);
  await harness.clock.pass(1000);
  harness.server.accepted[0]?.connection.shutdown("restart");
  await settled();
  assert.equal(harness.server.dials, 2, "nobody had to call for the new connection");
  assert.deepEqual(
    harness.pool.connections().map(({ state, streams }) => [state, streams]),
    [
      ["draining", 3],
      ["open", 0],
    ],
  );
  const late = harness.call();
  assert.notEqual(late.connection, harness.calls[0]?.connection);
  await settled();
  harness.answerAll();
  await settled();
  await harness.clock.pass(1000);
  assert.deepEqual(harness.states, { answered: 5 });
  assert.deepEqual(
    harness.pool.connections().map(({ state }) => state),
    ["open"],
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call in the tick of a GOAWAY does not get the connection that said it", async () => {
  const harness = await busyPool(2);
  const again: unknown[] = [];
  let tries = 0;
  harness.onAbort = (call) => {
    if (tries++ === 0) again.push(harness.call().connection, call.abort?.kind);
  };
  // A server that has not looked at any stream.
  harness.server.accepted[0]?.transport.write(goaway(0));
  await settled();
  assert.deepEqual(again, [undefined, "unprocessed"], "it waits for another connection");
  assert.equal(harness.server.dials, 2);
  harness.answerAll();
  await settled();
  assert.deepEqual(harness.states, { answered: 2, aborted: 2 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a connection that nobody used lately is not replaced", async () => {
  const harness = new PoolHarness();
  harness.call();
  await harness.clock.pass(10_000);
  harness.server.accepted[0]?.connection.shutdown("restart");
  await harness.clock.pass(10_000);
  assert.equal(harness.server.dials, 1);
  assert.equal(harness.pool.size, 0);
  harness.call();
  await settled();
  assert.deepEqual(harness.states, { answered: 2 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that ends every connection at once is dialled when somebody calls, not in a loop", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.call();
  await settled();
  for (let n = 0; n < 20; n++) {
    harness.server.accepted.at(-1)?.connection.shutdown("no");
    await settled(10);
  }
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a GOAWAY storm loses no call: those that were not processed are made again, once", async () => {
  const harness = new PoolHarness();
  const { clock, server, calls } = harness;
  const random = seededRandom(11);
  harness.onAbort = (call) => {
    assert.equal(call.abort?.kind, "unprocessed");
    harness.call();
  };
  for (let round = 0; round < 300; round++) {
    harness.burst(1 + Math.floor(random() * 5));
    if (random() < 0.5) await settled(1 + Math.floor(random() * 6));
    const last = server.accepted.at(-1);
    if (random() < 0.3) last?.connection.shutdown("age");
    await clock.pass(random() * 50);
  }
  await clock.pass(5000);
  const { answered = 0, aborted = 0 } = harness.states;
  assert.equal(answered + aborted, calls.length);
  assert.ok(server.dials > 50, `${server.dials} connections`);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a lost connection is replaced at once where it was used lately; a refusal then is known before the next call", async () => {
  const harness = await busyPool(2);
  await harness.clock.pass(1000);
  harness.server.mode = "refuse";
  harness.server.accepted[0]?.transport.cut();
  await settled();
  assert.deepEqual(harness.states, { answered: 1, aborted: 2 });
  assert.deepEqual(harness.heard, ["reachable", "CONNECT_REFUSED"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a call in the tick in which a connection is lost waits for another one", async () => {
  const harness = await busyPool(1);
  harness.onAbort = (call) => {
    assert.equal(call.abort?.kind, "lost");
    harness.server.answers = true;
    if (harness.calls.length < 3) harness.call();
  };
  harness.server.accepted[0]?.transport.cut();
  await settled(16);
  assert.deepEqual(harness.states, { answered: 2, aborted: 1 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that breaks the protocol is left, and calls go on over a new connection", async () => {
  const harness = await busyPool(1);
  // A PING on a stream: RFC 9113 §6.7 has it as a connection error.
  harness.server.accepted[0]?.transport.write(Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
  await settled();
  assert.equal(harness.calls[1]?.abort?.kind, "broken");
  harness.server.answers = true;
  harness.call();
  await settled();
  assert.equal(harness.calls[2]?.state, "answered");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a drained pool lets streams end, closes after the last one, and sends waiting calls away", async () => {
  const harness = await busyPool(2);
  harness.server.mode = "hang";
  harness.burst(98);
  const waiting = harness.call();
  harness.pool.drain("gone");
  harness.pool.drain("gone");
  assert.deepEqual([waiting.state, waiting.reason], ["failed", "NO_ENDPOINTS"]);
  const late = harness.call();
  await settled();
  assert.deepEqual([late.state, late.reason], ["failed", "NO_ENDPOINTS"]);
  assert.match(late.message, /^127\.0\.0\.1:1 is no instance of the service any more$/);
  assert.equal(harness.states.open, 100);
  assert.deepEqual(harness.heard, ["reachable"]);
  harness.answerAll();
  await settled();
  assert.equal(harness.states.answered, 101);
  assert.deepEqual(harness.heard, ["reachable", "drained"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  assert.deepEqual(harness.heard, ["reachable", "drained"]);
});

test("a pool that never connected is drained at once, and its dial is given up", async () => {
  const harness = new PoolHarness();
  harness.call();
  harness.pool.drain("gone");
  assert.deepEqual(harness.heard, ["drained"]);
  await settled();
  assert.deepEqual(harness.server.accepted, []);
  harness.pool.probe();
  await settled();
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a connection that was still new when its pool was drained closes too", async () => {
  const harness = new PoolHarness({ firstStream: "afterSettings" });
  harness.call();
  await settled(1);
  assert.deepEqual(
    harness.pool.connections().map(({ state }) => state),
    ["new"],
  );
  harness.pool.drain("gone");
  await settled();
  assert.deepEqual(harness.heard, ["drained"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("closing tells every stream that it is lost", async () => {
  const harness = await busyPool(3);
  harness.pool.close("the grace is over");
  assert.deepEqual(harness.states, { answered: 1, aborted: 3 });
  assert.deepEqual(harness.calls[1]?.abort, { kind: "lost", reason: "the grace is over" });
  assert.deepEqual(harness.heard, ["reachable", "drained"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`whatever happens in whatever order, each call hears once and nothing is left (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const chance = (share: number) => random() < share;
    const firstStream = chance(0.5) ? "atOnce" : "afterSettings";
    const harness = new PoolHarness({ firstStream, maxWaiting: 50, maxConnections: 8, surplusIdle: 2000 });
    const { clock, server } = harness;
    for (let step = 0; step < 400; step++) {
      server.maxStreams = [1, 2, 10, 100][Math.floor(random() * 4)] ?? 1;
      server.answers = chance(0.5);
      server.mode = chance(0.7) ? "accept" : chance(0.5) ? "refuse" : chance(0.5) ? "slam" : "hang";
      if (chance(0.6)) harness.burst(Math.floor(random() * 20));
      const some = server.standing[Math.floor(random() * server.standing.length)];
      if (chance(0.1)) some?.connection.shutdown("age");
      if (chance(0.05)) some?.transport.cut();
      if (chance(0.05)) some?.transport.write(goaway(0));
      if (chance(0.3)) harness.answerAll();
      for (const call of harness.calls) {
        if (call.state === "waiting" && chance(0.02)) call.giveUp();
        if (call.state === "open" && chance(0.02)) {
          call.stream?.reset(ErrorCode.CANCEL);
          call.state = "gave up";
        }
      }
      if (chance(0.5)) await settled(1 + Math.floor(random() * 4));
      if (chance(0.3)) await clock.pass(random() * 1500);
      for (const { connection } of server.standing) assert.ok(connection.activeStreams <= 100);
      assert.ok(harness.pool.size <= 8 && harness.pool.waiting <= 50);
    }
    Object.assign(server, { mode: "accept", answers: true, maxStreams: 100 });
    for (let n = 0; n < 20; n++) {
      harness.answerAll();
      await clock.pass(2000);
    }
    const { waiting = 0, open = 0 } = harness.states;
    assert.deepEqual({ waiting, open }, { waiting: 0, open: 0 }, "with a server that answers nobody waits");
    assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  });
}

/** A GOAWAY with NO_ERROR: nothing above `last` was looked at (RFC 9113 §6.8). */
function goaway(last: number): Buffer {
  const frame = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  frame.writeUInt32BE(last, 9);
  return frame;
}
