import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameType } from "../../src/http2/frame.ts";
import { settled } from "../support/clock.ts";
import { Engine } from "../support/engine.ts";
import { pingFrame, settingsFrame, windowFrame } from "../support/frames.ts";

/** A client whose server gives every window there is. */
function wideOpen(): Engine {
  const engine = Engine.ready("client");
  engine.send(settingsFrame([[4, 0x7fff_ffff]]), windowFrame(0, 0x7fff_ffff - 65_535));
  return engine;
}

async function octetsOf(engine: Engine): Promise<number> {
  return (await engine.framesOf(FrameType.DATA)).reduce((sum, { payload }) => sum + payload.length, 0);
}

test("all that is written in a turn leaves in one write", async () => {
  const engine = wideOpen();
  await engine.frames();
  const before = engine.transport.written.length;
  for (let at = 0; at < 5; at++) engine.open(false).stream.sendData(Buffer.alloc(100), 0, 100, true);
  engine.send(pingFrame());
  assert.equal((await engine.frames()).length, 11);
  assert.equal(engine.transport.written.length - before, 1);
});

test("a transport that takes nothing gets 256 KiB of DATA and what control needs, and the rest when it goes on", async () => {
  const engine = wideOpen();
  await engine.frames();
  engine.transport.stalled = true;
  const { stream, handler } = engine.open(false);
  const octets = Buffer.alloc(1_000_000);
  const taken = stream.sendData(octets, 0, octets.length, true);
  assert.ok(taken >= 262_144 && taken < 262_144 + 131_072 + 16_384, `${taken}`);
  assert.equal(stream.queued, octets.length - taken);
  engine.send(pingFrame());
  assert.equal(handler.sent, 0);
  engine.transport.flow();
  await settled(20);
  assert.equal(handler.sent, octets.length - taken);
  assert.equal(stream.state, "halfClosedLocal");
  const types = (await engine.frames()).map(({ type }) => type);
  assert.ok(types.indexOf(FrameType.PING) < types.lastIndexOf(FrameType.DATA), "an answer does not wait for DATA");
});

test("streams that wait for the transport go on in turn, a frame each", async () => {
  const engine = wideOpen();
  await engine.frames();
  engine.transport.stalled = true;
  const calls = [engine.open(false), engine.open(false), engine.open(false)];
  const octets = Buffer.alloc(600_000);
  for (const { stream } of calls) stream.sendData(octets, 0, octets.length, true);
  await engine.frames();
  engine.transport.flow();
  await settled(20);
  const turns = (await engine.framesOf(FrameType.DATA)).map(({ stream }) => stream);
  assert.deepEqual(turns.slice(turns.indexOf(3), turns.indexOf(3) + 6), [3, 5, 1, 3, 5, 1]);
  assert.ok(calls.every(({ stream }) => stream.state === "halfClosedLocal"));
});

test("a stream that was reset while it waited sends nothing when there is room", async () => {
  const engine = wideOpen();
  engine.transport.stalled = true;
  const [first, second] = [engine.open(false), engine.open(false)];
  const octets = Buffer.alloc(600_000);
  for (const { stream } of [first, second]) stream.sendData(octets, 0, octets.length, true);
  await engine.frames();
  second.stream.reset(8);
  engine.transport.flow();
  await settled(20);
  const frames = await engine.frames();
  const reset = frames.findIndex(({ type }) => type === FrameType.RST_STREAM);
  assert.ok(reset >= 0);
  assert.deepEqual(
    frames.filter(({ stream }) => stream === second.stream.id).map(({ type }) => type),
    [FrameType.RST_STREAM],
  );
});

test("a stream that waits for its own window keeps none behind it from the connection's", async () => {
  const engine = Engine.ready("client");
  const [first, second] = [engine.open(false), engine.open(false)];
  first.stream.sendData(Buffer.alloc(65_535), 0, 65_535, false);
  for (const { stream } of [first, second]) stream.sendData(Buffer.alloc(1000), 0, 1000, true);
  await engine.frames();
  // The first one's window is empty too.
  engine.send(windowFrame(0, 5000));
  assert.deepEqual(
    (await engine.framesOf(FrameType.DATA)).map(({ stream, payload }) => [stream, payload.length]),
    [[3, 1000]],
  );
  engine.send(windowFrame(1, 1000));
  assert.equal(await octetsOf(engine), 1000);
});

test("after the end nothing is written, whatever streams still ask for", async () => {
  const engine = wideOpen();
  const { stream } = engine.open(false);
  await engine.frames();
  engine.connection.close("done");
  stream.sendData(Buffer.alloc(10), 0, 10, true);
  stream.reset(8);
  engine.connection.ping(() => {});
  assert.deepEqual(
    (await engine.frames()).map(({ type }) => type),
    [FrameType.GOAWAY],
  );
});

test("octets written are counted once, sent or on their way", async () => {
  const engine = wideOpen();
  await engine.frames();
  const before = engine.connection.bytesSent;
  engine.open(false).stream.sendData(Buffer.alloc(100), 0, 100, true);
  const told = engine.connection.bytesSent;
  const frames = await engine.frames();
  const length = frames.reduce((sum, { payload }) => sum + 9 + payload.length, 0);
  assert.deepEqual([told - before, engine.connection.bytesSent - before], [length, length]);
  assert.ok((await octetsOf(engine)) === 0);
});
