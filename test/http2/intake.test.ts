import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import { settled } from "../support/clock.ts";
import { Engine } from "../support/engine.ts";
import { continuationFrame, dataFrame, headersFrame, pingFrame } from "../support/frames.ts";

/** A request with some kilobytes of metadata, none like another. */
function large(engine: Engine, id: number): Buffer {
  return engine.head(
    id,
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      ["x-a", `${id}`.padEnd(5000, "v")],
    ],
    true,
  );
}

/** The identifiers of so many requests. */
const first = (count: number): number[] => Array.from({ length: count }, (_, at) => 2 * at + 1);

/** A server to which every request takes so many milliseconds. */
function server(milliseconds: number): Engine {
  const engine = Engine.ready("server");
  engine.answer = () => engine.clock.advance(milliseconds);
  return engine;
}

const read = (engine: Engine): number[] => engine.accepted.map(({ stream }) => stream.id);

test("a client that keeps its server busy is read on in the turns that follow, and from its transport only then", async () => {
  const engine = server(1);
  engine.send(...first(40).map((id) => large(engine, id)));
  const atOnce = engine.accepted.length;
  assert.ok(atOnce < 8, `${atOnce} requests in its turn`);
  assert.equal(engine.transport.isPaused(), true);
  // The transport had that already.
  engine.send(large(engine, 81));
  assert.equal(engine.accepted.length, atOnce);
  await settled(1);
  assert.ok(engine.accepted.length > atOnce && engine.accepted.length < atOnce + 15, `${engine.accepted.length}`);
  await settled(10);
  assert.deepEqual(read(engine), first(41));
  assert.equal(engine.transport.isPaused(), false);
});

test("one that does not is read to the end at once", () => {
  const engine = server(0);
  engine.send(...first(40).map((id) => large(engine, id)));
  assert.deepEqual(read(engine), first(40));
});

test("what is left of a connection that ends is forgotten", async () => {
  const engine = server(1);
  engine.send(...first(40).map((id) => large(engine, id)));
  const before = engine.accepted.length;
  engine.connection.close("no more");
  assert.equal(engine.transport.isPaused(), false);
  await settled(5);
  assert.equal(engine.accepted.length, before);
});

test("what breaks a rule in a later turn ends the connection", async () => {
  const engine = server(1);
  engine.send(...first(20).map((id) => large(engine, id)), dataFrame(0, "x"), large(engine, 41));
  assert.equal(engine.cause, undefined);
  await settled(10);
  assert.deepEqual(read(engine), first(20));
  assert.match(engine.reason ?? "", /DATA on stream 0/);
});

const block = Buffer.of(0x82, 0x86, 0x84);
const unfinished: readonly (readonly [name: string, begin: Buffer, end: Buffer])[] = [
  ["a header block", headersFrame(1, block, { whole: false }), continuationFrame(1, Buffer.alloc(0))],
  ["a frame's header", pingFrame().subarray(0, 4), pingFrame().subarray(4)],
  ["a frame's payload", pingFrame().subarray(0, 12), pingFrame().subarray(12)],
];

for (const [name, begin, end] of unfinished) {
  test(`${name} has ${defaultLimits.frameTimeout / 1000} s to be complete`, async () => {
    const slow = Engine.ready("server");
    slow.send(begin);
    slow.clock.advance(defaultLimits.frameTimeout - 1);
    assert.equal(slow.cause, undefined);
    slow.clock.advance(1);
    assert.match(slow.reason ?? "", /was not complete within 10000 ms/);
    assert.equal((await slow.goaway())?.code, ErrorCode.ENHANCE_YOUR_CALM);

    const inTime = Engine.ready("server");
    inTime.send(begin);
    inTime.clock.advance(defaultLimits.frameTimeout - 1);
    inTime.send(end);
    // Another one, which has its own time.
    inTime.send(pingFrame().subarray(0, 5));
    inTime.clock.advance(defaultLimits.frameTimeout - 1);
    assert.equal(inTime.cause, undefined);
    inTime.send(pingFrame().subarray(5));
    inTime.clock.advance(2 * defaultLimits.frameTimeout);
    assert.equal(inTime.cause, undefined);
    assert.equal(inTime.clock.pending, 0);
  });
}

test("nobody waits for the rest of what a peer had begun when it broke a rule", () => {
  const timers = (...octets: readonly Buffer[]): number => {
    const engine = Engine.ready("server");
    engine.send(Buffer.concat(octets));
    assert.ok(engine.cause !== undefined);
    return engine.clock.pending;
  };
  assert.equal(timers(headersFrame(1, block, { whole: false }), pingFrame()), timers(dataFrame(0, "x")));
});

test("DATA may take as long as it likes: that is for deadlines", () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1, false), dataFrame(1, "much more").subarray(0, 12));
  engine.clock.advance(10 * defaultLimits.frameTimeout);
  assert.equal(engine.cause, undefined);
});

test("after the end, no more is taken than may be on its way to one who does not know", () => {
  const engine = Engine.ready("server");
  engine.send(dataFrame(0, "x"));
  assert.ok(engine.cause !== undefined);
  const octets = Buffer.alloc(2 ** 20);
  for (let taken = 0; taken < defaultLimits.maxConnectionWindow; taken += octets.length) {
    engine.send(octets);
    assert.equal(engine.transport.destroyed, false);
  }
  engine.send(octets);
  assert.equal(engine.transport.destroyed, true);
});
