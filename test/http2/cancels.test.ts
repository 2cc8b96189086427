import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { Engine } from "../support/engine.ts";
import { dataFrame, goawayFrame, resetFrame, settingsAckFrame, settingsFrame, windowFrame } from "../support/frames.ts";

/** A client whose server allows many streams. */
function makeClient(sidecar = false): Engine {
  const engine = new Engine("client");
  engine.send(
    settingsFrame([
      [SettingId.MAX_CONCURRENT_STREAMS, 100_000],
      [SettingId.OUTRIGGER, sidecar ? 1 : 0],
    ]),
    settingsAckFrame,
  );
  return engine;
}

function openMany(engine: Engine, count: number): Stream[] {
  return Array.from({ length: count }, () => engine.open().stream);
}

function cancelAll(streams: Iterable<Stream>): void {
  for (const stream of streams) stream.cancel(ErrorCode.CANCEL);
}

async function resets(engine: Engine): Promise<number> {
  return (await engine.framesOf(FrameType.RST_STREAM)).length;
}

test("a cancel is a reset in the same tick", async () => {
  const engine = makeClient();
  const { stream } = engine.open();
  stream.cancel(ErrorCode.CANCEL);
  assert.equal(stream.state, "closed");
  const [frame] = await engine.framesOf(FrameType.RST_STREAM);
  assert.deepEqual([frame?.stream, frame?.payload.readUInt32BE(0)], [1, 8]);
  assert.equal(engine.connection.atRest, true);
  assert.equal(engine.clock.pending, 0);
});

test("a server resets at once, however many", async () => {
  const engine = Engine.ready("server");
  for (let at = 0; at < 3000; at++) {
    engine.send(engine.request(2 * at + 1));
    engine.accept().stream.cancel(ErrorCode.INTERNAL_ERROR);
  }
  assert.equal(await resets(engine), 3000);
});

test("young streams without an answer are reset 200 times, the rest once they are older", async () => {
  const engine = makeClient();
  const streams = openMany(engine, 299);
  cancelAll(streams);
  assert.equal(await resets(engine), 200);
  assert.equal(engine.connection.draining, false);
  engine.clock.advance(2000);
  assert.equal(await resets(engine), 0);
  engine.clock.advance(100);
  assert.equal(await resets(engine), 99);
  assert.equal(engine.connection.activeStreams, 0);
  assert.equal(engine.clock.pending, 0);
});

test("streams that were answered, or are old, are reset 900 times, the rest 30 a second", async () => {
  const engine = makeClient();
  // One that is still wanted keeps the connection.
  engine.open();
  const streams = openMany(engine, 960);
  for (const { id } of streams.slice(0, 480)) engine.send(engine.head(id, [[":status", "200"]]));
  engine.clock.advance(2100);
  await engine.frames();
  cancelAll(streams);
  assert.equal(await resets(engine), 900);
  for (let second = 0; second < 2; second++) {
    for (let tick = 0; tick < 100; tick++) engine.clock.advance(10);
    const count = await resets(engine);
    assert.ok(count >= 29 && count <= 31, `${count}`);
  }
});

test("calls that go well make room for young resets in proportion", async () => {
  const engine = makeClient();
  // In two parts: no connection has more streams of ours at once than maxConcurrentStreams.
  for (let part = 0; part < 2; part++)
    for (const { id } of openMany(engine, 1000)) engine.send(engine.head(id, [[":status", "200"]], true));
  cancelAll(openMany(engine, 700));
  const count = await resets(engine);
  // 40 % of 2000 and of those themselves, but the connection was worn before: a fifth of the budget is kept.
  assert.ok(count >= 700, `${count}`);
  assert.equal(engine.connection.draining, false);
});

test("a stream that waits for its reset may end by itself, and is no reset then", async () => {
  const engine = makeClient();
  const streams = openMany(engine, 250);
  cancelAll(streams);
  await engine.frames();
  const waiting = streams.filter(({ state }) => state !== "closed");
  assert.equal(waiting.length, 50);
  for (const { id } of waiting)
    engine.send(
      engine.head(id, [[":status", "200"]]),
      dataFrame(id, "late"),
      engine.head(id, [["grpc-status", "0"]], true),
    );
  assert.equal(engine.connection.activeStreams, 0);
  assert.equal(engine.clock.pending, 0);
  engine.clock.advance(10_000);
  assert.equal(await resets(engine), 0);
  assert.equal(engine.connection.atRest, true);
});

test("a stream that waits for its reset may be reset by its server", () => {
  const engine = makeClient();
  const streams = openMany(engine, 201);
  cancelAll(streams);
  engine.send(resetFrame(streams[200]?.id ?? 0, 8));
  assert.equal(engine.connection.activeStreams, 0);
  assert.equal(engine.clock.pending, 0);
});

test("what comes on a stream that waits for its reset gives no credit to the stream, and all to the connection", async () => {
  const engine = makeClient();
  const streams = openMany(engine, 201);
  const last = streams[200];
  assert.ok(last !== undefined);
  engine.send(settingsFrame([[SettingId.INITIAL_WINDOW_SIZE, 0]]));
  last.sendData(Buffer.alloc(10), 0, 10, false);
  cancelAll(streams);
  await engine.frames();
  engine.send(engine.head(last.id, [[":status", "200"]]));
  for (let at = 0; at < 8; at++) engine.send(dataFrame(last.id, Buffer.alloc(16_384)));
  assert.deepEqual(await engine.framesOf(FrameType.WINDOW_UPDATE), []);
  assert.equal(last.unreleased, 0);
  assert.equal(last.recv.available, 0);
  // Credit of the server for what was never sent is nothing to it either.
  engine.send(windowFrame(last.id, 1000));
  assert.deepEqual(await engine.framesOf(FrameType.DATA), []);
  engine.clock.advance(3000);
  assert.equal(await resets(engine), 1);
  assert.equal(engine.connection.atRest, true);
});

test("where a hundred streams wait, the connection takes no new ones, and ends once only such are left", async () => {
  const engine = makeClient();
  const { stream: alive, handler } = engine.open();
  const streams = openMany(engine, 300);
  cancelAll(streams.slice(0, 299));
  assert.deepEqual(engine.goaways, []);
  assert.equal(engine.connection.canOpen, true);
  cancelAll(streams.slice(299));
  assert.deepEqual(engine.goaways, ["0 many of its streams were cancelled"]);
  assert.equal(engine.connection.canOpen, false);
  assert.equal(engine.reason, undefined);
  await engine.frames();
  engine.send(engine.head(alive.id, [[":status", "200"]], true));
  assert.deepEqual(handler.events, ["head end"]);
  assert.equal(engine.reason, "no stream is left");
  assert.deepEqual(
    (await engine.frames()).map(({ type }) => type),
    [FrameType.GOAWAY],
  );
  assert.equal(engine.transport.writableEnded, true);
  assert.equal(engine.connection.activeStreams, 0);
});

test("a connection that the server wants to end, and on which all streams are cancelled, ends at once", () => {
  const engine = makeClient();
  const streams = openMany(engine, 220);
  engine.send(goawayFrame(0x7fff_ffff, 0));
  cancelAll(streams);
  assert.equal(engine.reason, "no stream is left");
});

test("80 % of the resets wear a connection out, and the rest is for the streams that it still carries", async () => {
  const engine = makeClient();
  const streams = openMany(engine, 900);
  for (const { id } of streams) engine.send(engine.head(id, [[":status", "200"]]));
  cancelAll(streams.slice(0, 719));
  assert.deepEqual(engine.goaways, []);
  cancelAll(streams.slice(719, 720));
  assert.equal(engine.goaways.length, 1);
  cancelAll(streams.slice(720));
  assert.equal(engine.goaways.length, 1);
  assert.equal(await resets(engine), 900);
});

test("towards a sidecar the pace is that of its budget, and age does not matter", async () => {
  const engine = makeClient(true);
  for (let part = 0; part < 4; part++) cancelAll(openMany(engine, 775));
  assert.equal(await resets(engine), 3100);
  assert.equal(engine.connection.draining, false);
  cancelAll(openMany(engine, 100));
  assert.equal(engine.connection.draining, true);
  assert.equal(engine.reason, "no stream is left");
});

test("a reset because of the server's own fault counts, and never waits", async () => {
  const engine = makeClient();
  const streams = openMany(engine, 201);
  for (const { id } of streams.slice(0, 100)) engine.send(engine.head(id, [["x-a", "no status"]]));
  assert.equal(await resets(engine), 100);
  cancelAll(streams.slice(100));
  assert.equal(await resets(engine), 100);
  engine.send(engine.head(streams[200]?.id ?? 0, [["x-a", "no status"]]));
  assert.equal(await resets(engine), 1);
  assert.equal(engine.clock.pending, 0);
});

test("a cancel in the last moment of a connection leaves no timer", () => {
  const engine = makeClient();
  const streams = openMany(engine, 260);
  cancelAll(streams.slice(0, 250));
  assert.equal(engine.clock.pending, 1);
  engine.transport.destroy();
  engine.connection.close("over");
  cancelAll(streams);
  engine.clock.advance(1000);
  assert.equal(engine.clock.pending, 0);
});
