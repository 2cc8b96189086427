import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { Burden, LEAVES_MOST, Unread } from "../../src/http2/unread.ts";
import { FakeClock, settled } from "../support/clock.ts";
import { Engine, requestFields } from "../support/engine.ts";
import { clientGreeting, settingsAckFrame } from "../support/frames.ts";

/** A connection whose peer reads nothing until it is given up. */
function connection(
  all: Unread,
  name: string,
  gone: string[],
  isCaller = true,
): { burden: Burden; sent: { unread: number } } {
  const sent = { unread: 0 };
  const burden = new Burden(all, sent, isCaller, () => {
    gone.push(name);
    burden.stop();
    burden.keep(-burden.unread + sent.unread);
  });
  return { burden, sent };
}

test("over the limit the caller goes that leaves the most unread, and nobody else", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => connection(all, name, gone));
  a?.burden.keep(300);
  b?.burden.keep(500);
  c?.burden.keep(200);
  await settled(2);
  assert.deepEqual(gone, []);
  c?.burden.keep(1);
  assert.deepEqual(gone, [], "not while it is in the middle of something");
  await settled(2);
  assert.deepEqual(gone, ["b"]);
  assert.equal(all.octets, 501);
});

test("as many go as it takes, and once more when it is too much again", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  for (const [name, octets] of [
    ["a", 900],
    ["b", 5000],
    ["c", 4000],
    ["d", 10],
  ] as const)
    connection(all, name, gone).burden.keep(octets);
  await settled(2);
  assert.deepEqual(gone, ["b", "c"]);
  connection(all, "e", gone).burden.keep(95);
  await settled(2);
  assert.deepEqual(gone, ["b", "c", "a"]);
});

test("requests that an upstream does not take are the fault of whoever sent them", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  const upstream = connection(all, "upstream", gone, false);
  const [some, most] = [connection(all, "some", gone), connection(all, "most", gone)];
  some.sent.unread = 300;
  most.sent.unread = 800;
  upstream.burden.keep(1100);
  await settled(2);
  // What it kept for that caller has not gone in this test: the next one goes as well, and the upstream never does.
  assert.deepEqual(gone, ["most", "some"]);
});

test("where nothing is anybody's, nobody goes", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  connection(all, "idle", gone);
  connection(all, "upstream", gone, false).burden.keep(2000);
  await settled(2);
  assert.deepEqual(gone, []);
});

test("what a caller does not take from its socket counts as what it leaves in streams, until it takes it or is over", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  const [a, b] = [connection(all, "a", gone), connection(all, "b", gone)];
  a.burden.keep(300);
  a.burden.hold(300);
  b.burden.hold(400);
  await settled(2);
  assert.deepEqual([gone, all.octets, all.ended], [[], 1000, 0]);
  b.burden.hold(1);
  await settled(2);
  assert.deepEqual([gone, all.octets, all.ended], [["a"], 401, 1]);
  // Its socket says so later.
  a.burden.hold(-300);
  b.burden.hold(-401);
  assert.equal(all.octets, 0);
});

test("what a server does not take from its socket is no caller's", () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  connection(all, "upstream", [], false).burden.hold(5000);
  assert.equal(all.octets, 0);
});

test("callers that read nothing of their sockets go, the largest one first, and what lies in its socket goes with it", async () => {
  const clock = new FakeClock();
  const loop = new FlushLoop(clock);
  const unread = new Unread(loop, 1_000_000);
  const answer: [string, string][] = [
    [":status", "200"],
    ["x-fill", "v".repeat(16_000)],
  ];
  const callers = [1, 20, 25].map((calls) => {
    const engine = new Engine("server", {}, clock, { loop, unread });
    engine.answer = ({ stream }) => stream.sendHead(engine.headers.head(answer), true);
    engine.send(clientGreeting, settingsAckFrame);
    const ask = (at: number): void => engine.send(engine.request(2 * at + 1, true, requestFields));
    engine.transport.stalled = true;
    for (let at = 0; at < calls; at++) ask(at);
    let next = calls;
    return { engine, more: () => ask(next++) };
  });
  const [small, some, most] = callers;
  await settled(3);
  assert.ok(unread.octets > 500_000 && unread.octets < 1_000_000, `${unread.octets} octets`);
  for (let at = 0; unread.ended === 0 && at < 100; at++) {
    some?.more();
    most?.more();
    await settled(3);
  }
  assert.equal(unread.ended, 1);
  clock.advance(1);
  assert.deepEqual(
    [small, some, most].map((one) => one?.engine.transport.destroyed),
    [false, false, true],
  );
  assert.equal(most?.engine.reason, LEAVES_MOST);
  assert.ok(unread.octets > 0 && unread.octets < 700_000);
  small?.engine.transport.flow();
  some?.engine.transport.flow();
  await settled(3);
  assert.equal(unread.octets, 0);
});
