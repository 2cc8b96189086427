import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { Flag, FrameType, MAX_STREAM_ID } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { settled } from "../support/clock.ts";
import { Engine } from "../support/engine.ts";
import {
  dataFrame,
  goawayFrame,
  pingFrame,
  priorityFrame,
  resetFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { RawHpackDecoder } from "../support/raw-hpack.ts";
import { pairsOf } from "../support/raw-peer.ts";

const ok: readonly PlainField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];
const trailers: readonly PlainField[] = [["grpc-status", "0"]];

test("a client says preface, SETTINGS and its window in one write, before it hears anything", async () => {
  const engine = new Engine("client");
  const frames = await engine.frames();
  assert.deepEqual(
    frames.map(({ type }) => type),
    [FrameType.SETTINGS, FrameType.WINDOW_UPDATE],
  );
  assert.equal(engine.transport.written.length, 1);
  assert.equal(engine.transport.written[0]?.subarray(0, 24).toString("latin1"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
});

test("a call is HEADERS and DATA, and its answer is told in order", async () => {
  const engine = Engine.ready("client");
  await engine.frames();
  const { stream, handler } = engine.open(false);
  assert.equal(stream.sendData(Buffer.from("hello"), 0, 5, true), 5);
  const [head, data] = await engine.frames();
  assert.deepEqual([head?.type, head?.flags, head?.stream], [FrameType.HEADERS, Flag.END_HEADERS, 1]);
  assert.deepEqual(pairsOf(new RawHpackDecoder().decode(head?.payload ?? Buffer.alloc(0)))[0], [":method", "POST"]);
  assert.deepEqual([data?.type, data?.flags, data?.payload.toString()], [FrameType.DATA, Flag.END_STREAM, "hello"]);
  engine.send(
    engine.head(1, [[":status", "103"]]),
    engine.head(1, ok),
    dataFrame(1, "one"),
    dataFrame(1, "two", false, 5),
    engine.head(1, trailers, true),
  );
  assert.deepEqual(handler.events, ["informational 103", "head", "data 3", "data 3", "trailers"]);
  assert.equal(handler.data, "onetwo");
  assert.equal(engine.connection.atRest, true);
});

test("an answer may end with its head, with DATA, and before its request does", () => {
  const engine = Engine.ready("client");
  const calls = [engine.open(), engine.open(), engine.open(false)];
  engine.send(engine.head(1, ok, true), engine.head(3, ok), dataFrame(3, "x", true), engine.head(5, ok, true));
  assert.deepEqual(
    calls.map(({ handler }) => handler.events),
    [["head end"], ["head", "data 1 end"], ["head end"]],
  );
  assert.deepEqual(
    calls.map(({ stream }) => stream.state),
    ["closed", "closed", "halfClosedRemote"],
  );
  calls[2]?.stream.sendData(Buffer.alloc(0), 0, 0, true);
  assert.equal(engine.connection.activeStreams, 0);
});

/** What an answer may not be, and the error of its stream. */
const brokenAnswers: readonly (readonly [string, (engine: Engine) => readonly Buffer[], number])[] = [
  ["DATA before a head", () => [dataFrame(1, "x")], ErrorCode.PROTOCOL_ERROR],
  ["a head without :status", (engine) => [engine.head(1, [["x-a", "1"]])], ErrorCode.PROTOCOL_ERROR],
  ["an interim head that ends", (engine) => [engine.head(1, [[":status", "100"]], true)], ErrorCode.PROTOCOL_ERROR],
  ["trailers that do not end", (engine) => [engine.head(1, ok), engine.head(1, trailers)], ErrorCode.PROTOCOL_ERROR],
  ["trailers with :status", (engine) => [engine.head(1, ok), engine.head(1, ok, true)], ErrorCode.PROTOCOL_ERROR],
  [
    "fewer octets than promised",
    (engine) => [engine.head(1, [...ok, ["content-length", "2"]]), dataFrame(1, "x", true)],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "more octets than promised",
    (engine) => [engine.head(1, [...ok, ["content-length", "1"]]), dataFrame(1, "xy")],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "trailers instead of promised octets",
    (engine) => [engine.head(1, [...ok, ["content-length", "1"]]), engine.head(1, trailers, true)],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "a content-length that is no number",
    (engine) => [engine.head(1, [...ok, ["content-length", "x"]])],
    ErrorCode.PROTOCOL_ERROR,
  ],
  ["a window that grows by 0", () => [windowFrame(1, 0)], ErrorCode.PROTOCOL_ERROR],
  ["a window above 2^31-1", () => [windowFrame(1, 0x7fff_ffff)], ErrorCode.FLOW_CONTROL_ERROR],
  ["a stream that depends on itself", () => [priorityFrame(1, 1)], ErrorCode.PROTOCOL_ERROR],
];

for (const [name, make, code] of brokenAnswers) {
  test(`${name} ends the stream and nothing else`, async () => {
    const engine = Engine.ready("client");
    const [broken, other] = [engine.open(false), engine.open()];
    await engine.frames();
    engine.send(...make(engine));
    assert.equal(broken.handler.abort?.kind, "violation");
    const [reset] = await engine.framesOf(FrameType.RST_STREAM);
    assert.deepEqual([reset?.stream, reset?.payload.readUInt32BE(0)], [1, code]);
    engine.send(engine.head(3, ok, true));
    assert.deepEqual(other.handler.events, ["head end"]);
    assert.equal(engine.connection.atRest, true);
  });
}

/** What breaks the whole connection. */
const broken: readonly (readonly [string, (engine: Engine) => Buffer, number])[] = [
  ["HEADERS on an idle stream", (engine) => engine.head(7, ok), ErrorCode.PROTOCOL_ERROR],
  ["HEADERS on a stream of the server", (engine) => engine.head(2, ok), ErrorCode.PROTOCOL_ERROR],
  ["DATA on an idle stream", () => dataFrame(7, "x"), ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM on an idle stream", () => resetFrame(7, 0), ErrorCode.PROTOCOL_ERROR],
  ["WINDOW_UPDATE on an idle stream", () => windowFrame(7, 1), ErrorCode.PROTOCOL_ERROR],
  ["a connection window that grows by 0", () => windowFrame(0, 0), ErrorCode.PROTOCOL_ERROR],
  ["a connection window above 2^31-1", () => windowFrame(0, 0x7fff_ffff), ErrorCode.FLOW_CONTROL_ERROR],
  ["SETTINGS that are wrong", () => settingsFrame([[SettingId.ENABLE_PUSH, 1]]), ErrorCode.PROTOCOL_ERROR],
  ["a frame that is too large", () => dataFrame(1, Buffer.alloc(16_385)), ErrorCode.FRAME_SIZE_ERROR],
];

for (const [name, make, code] of broken) {
  test(`${name} ends the connection with its code, and tells every stream`, async () => {
    const engine = Engine.ready("client");
    const calls = [engine.open(), engine.open(false)];
    await engine.frames();
    engine.send(make(engine), pingFrame());
    assert.deepEqual([engine.cause?.kind, engine.closes], ["violation", 1]);
    const frames = await engine.frames();
    assert.deepEqual(
      frames.map(({ type }) => type),
      [FrameType.GOAWAY],
      "nothing after it, and no answer to the PING",
    );
    assert.equal(frames[0]?.payload.readUInt32BE(4), code);
    for (const { handler } of calls) assert.equal(handler.abort?.kind, "broken");
    assert.equal(engine.transport.writableEnded, true);
  });
}

test("a window that SETTINGS take above 2^31-1 breaks the connection", async () => {
  const engine = Engine.ready("client");
  engine.open(false);
  engine.send(windowFrame(1, 0x7fff_ffff - 65_535), settingsFrame([[SettingId.INITIAL_WINDOW_SIZE, 65_536]]));
  assert.equal((await engine.goaway())?.code, ErrorCode.FLOW_CONTROL_ERROR);
});

test("DATA waits for the stream's window, and for the connection's", async () => {
  const engine = Engine.ready("client");
  await engine.frames();
  const { stream, handler } = engine.open(false);
  const octets = Buffer.alloc(100_000, "x");
  assert.equal(stream.sendData(octets, 0, octets.length, true), 65_535);
  assert.deepEqual(
    (await engine.framesOf(FrameType.DATA)).map(({ payload }) => payload.length),
    [16_384, 16_384, 16_384, 16_383],
  );
  engine.send(windowFrame(1, 20_000));
  assert.deepEqual(await engine.framesOf(FrameType.DATA), [], "the connection's is empty");
  engine.send(windowFrame(0, 10_000));
  assert.deepEqual(
    (await engine.framesOf(FrameType.DATA)).map(({ payload }) => payload.length),
    [10_000],
  );
  engine.send(windowFrame(0, 100_000));
  assert.deepEqual(
    (await engine.framesOf(FrameType.DATA)).map(({ payload }) => payload.length),
    [10_000],
  );
  engine.send(windowFrame(1, 100_000));
  const last = await engine.framesOf(FrameType.DATA);
  assert.deepEqual(
    last.map(({ payload, flags }) => [payload.length, flags]),
    [[14_465, Flag.END_STREAM]],
  );
  assert.equal(handler.sent, 100_000 - 65_535);
});

test("a smaller initial window may take a stream's below 0, from where it comes back", async () => {
  const engine = Engine.ready("client");
  const { stream } = engine.open(false);
  engine.send(windowFrame(0, 1_000_000));
  stream.sendData(Buffer.alloc(70_000), 0, 70_000, true);
  await engine.frames();
  engine.send(settingsFrame([[SettingId.INITIAL_WINDOW_SIZE, 0]]));
  assert.equal(stream.send.available, -65_535);
  engine.send(windowFrame(1, 65_535));
  assert.deepEqual(await engine.framesOf(FrameType.DATA), []);
  engine.send(settingsFrame([[SettingId.INITIAL_WINDOW_SIZE, 4000]]));
  assert.deepEqual(
    (await engine.framesOf(FrameType.DATA)).map(({ payload }) => payload.length),
    [4000],
  );
  engine.send(windowFrame(1, 465));
  assert.equal((await engine.framesOf(FrameType.DATA)).length, 1);
  assert.equal(stream.state, "halfClosedLocal");
});

test("streams that wait for the connection's window share it", async () => {
  const engine = Engine.ready("client");
  const calls = Array.from({ length: 3 }, () => engine.open(false));
  calls[0]?.stream.sendData(Buffer.alloc(65_535), 0, 65_535, false);
  for (const { stream } of calls) stream.sendData(Buffer.alloc(40_000), 0, 40_000, false);
  await engine.frames();
  engine.send(windowFrame(1, 65_535), windowFrame(0, 16_384 * 3));
  const frames = await engine.framesOf(FrameType.DATA);
  assert.deepEqual(
    frames.map(({ stream, payload }) => [stream, payload.length]),
    [
      [1, 16_384],
      [3, 16_384],
      [5, 16_384],
    ],
  );
});

test("octets are credited once half of a window is owed, to the stream and to the connection", async () => {
  const engine = Engine.ready("client");
  const { handler } = engine.open();
  await engine.frames();
  handler.releases = false;
  engine.send(engine.head(1, ok));
  const full = Buffer.alloc(16_384);
  for (let at = 0; at < 8; at++) engine.send(dataFrame(1, full));
  assert.deepEqual(await engine.framesOf(FrameType.WINDOW_UPDATE), [], "nobody has taken anything");
  handler.stream?.release(65_536 - 1);
  assert.deepEqual(await engine.framesOf(FrameType.WINDOW_UPDATE), []);
  handler.stream?.release(1);
  const [update] = await engine.framesOf(FrameType.WINDOW_UPDATE);
  assert.equal(update?.stream, 1);
});

test("a stream that nobody reads keeps no other one waiting", async () => {
  const engine = Engine.ready("client");
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 1000]]));
  const full = Buffer.alloc(16_384);
  for (let at = 0; at < 100; at++) {
    const { stream, handler } = engine.open();
    handler.releases = false;
    engine.send(engine.head(stream.id, ok));
    for (let piece = 0; piece < 8; piece++) engine.send(dataFrame(stream.id, full));
  }
  const { stream, handler } = engine.open();
  engine.send(engine.head(stream.id, ok));
  for (let piece = 0; piece < 8; piece++) engine.send(dataFrame(stream.id, full));
  assert.equal(handler.data.length, 131_072);
  assert.equal(engine.reason, undefined);
  assert.ok(engine.connection.atRest === false);
  for (const open of engine.connection.streams.values()) open.reset(ErrorCode.CANCEL);
  await settled();
  assert.equal(engine.connection.atRest, true);
});

test("beyond what may lie unread the connection's window is credited as octets are taken", async () => {
  const engine = Engine.ready("client", {
    maxUnread: 100_000,
    connectionWindow: 200_000,
    maxConnectionWindow: 200_000,
  });
  const calls = [engine.open(), engine.open()];
  await engine.frames();
  const credit = async (): Promise<number> =>
    (await engine.framesOf(FrameType.WINDOW_UPDATE))
      .filter(({ stream }) => stream === 0)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  for (const { stream, handler } of calls) {
    handler.releases = false;
    engine.send(engine.head(stream.id, ok));
  }
  const full = Buffer.alloc(10_000);
  for (let at = 0; at < 13; at++) engine.send(dataFrame(1, full));
  assert.equal(await credit(), 100_000, "30,000 of 130,000 are withheld");
  for (let at = 0; at < 13; at++) engine.send(dataFrame(3, full));
  assert.equal(await credit(), 0);
  // 160,000 are withheld and 40,000 are left to the peer. Half of the window comes back with the first 100,000.
  calls[0]?.stream.release(90_000);
  assert.equal(await credit(), 0);
  calls[0]?.stream.release(10_000);
  assert.equal(await credit(), 100_000);
  for (const { stream } of calls) stream.reset(ErrorCode.CANCEL);
  await settled();
  assert.equal(engine.connection.atRest, true);
});

test("what was on its way on a stream that we reset is dropped, credited, and no fault of the server", async () => {
  const engine = Engine.ready("client");
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 1000]]));
  const calls = Array.from({ length: 600 }, () => engine.open());
  for (const { stream } of calls) stream.reset(ErrorCode.CANCEL);
  for (const { stream } of calls)
    engine.send(
      engine.head(stream.id, ok),
      dataFrame(stream.id, "x".repeat(100), false, 20),
      engine.head(stream.id, trailers, true),
      windowFrame(stream.id, 1),
      resetFrame(stream.id, 8),
    );
  assert.equal(engine.reason, undefined);
  assert.deepEqual(await engine.framesOf(FrameType.GOAWAY), []);
  assert.equal(engine.connection.atRest, true);
  for (const { handler } of calls) assert.deepEqual(handler.events, []);
});

test("the server's limit on streams is kept, and may change at any time", () => {
  const engine = new Engine("client");
  assert.equal(engine.connection.available, 100, "until it has said");
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 2]]));
  const calls = [engine.open(), engine.open()];
  assert.equal(engine.connection.canOpen, false);
  assert.throws(() => engine.open());
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 1]]));
  engine.send(engine.head(1, ok, true));
  assert.equal(engine.connection.canOpen, false);
  const before = engine.capacity;
  engine.send(engine.head(3, ok, true));
  assert.ok(engine.capacity > before);
  assert.equal(engine.connection.available, 1);
  assert.equal(calls.length, 2);
});

test("GOAWAY ends what the server has not looked at, and lets the rest finish", async () => {
  const engine = Engine.ready("client");
  const calls = Array.from({ length: 3 }, () => engine.open());
  engine.send(goawayFrame(0x7fff_ffff, 0, "soon"));
  assert.deepEqual(engine.goaways, ["0 soon"]);
  assert.equal(engine.connection.canOpen, false);
  assert.deepEqual(
    calls.map(({ handler }) => handler.abort),
    [undefined, undefined, undefined],
  );
  engine.send(goawayFrame(3, 0, "now"));
  assert.deepEqual(
    calls.map(({ handler }) => handler.abort?.kind),
    [undefined, undefined, "unprocessed"],
  );
  engine.send(engine.head(1, ok, true));
  assert.equal(engine.reason, undefined);
  engine.send(engine.head(3, ok, true));
  assert.equal(engine.reason, "no stream is left");
  assert.deepEqual((await engine.goaway())?.code, 0);
});

test("a client that shuts down takes no more streams and ends with its last one", async () => {
  const engine = Engine.ready("client");
  const { handler } = engine.open();
  await engine.frames();
  engine.connection.shutdown("done");
  engine.connection.shutdown("done");
  assert.equal(engine.connection.canOpen, false);
  assert.deepEqual(await engine.goaway(), { last: 0, code: 0, debug: "done" });
  engine.send(engine.head(1, ok, true));
  assert.deepEqual(handler.events, ["head end"]);
  assert.equal(engine.reason, "no stream is left");
  assert.deepEqual(await engine.frames(), []);
});

test("once every identifier was used the connection is used up, and ends with its last stream", () => {
  const engine = Engine.ready("client");
  Reflect.set(engine.connection, "nextStreamId", MAX_STREAM_ID - 2);
  engine.open();
  assert.deepEqual(engine.goaways, []);
  const { stream } = engine.open();
  assert.equal(stream.id, MAX_STREAM_ID);
  assert.deepEqual(engine.goaways, ["0 every stream identifier has been used"]);
  assert.equal(engine.connection.canOpen, false);
  engine.send(engine.head(MAX_STREAM_ID - 2, ok, true));
  assert.equal(engine.reason, undefined);
  engine.send(engine.head(MAX_STREAM_ID, ok, true));
  assert.equal(engine.reason, "no stream is left");
});

test("a PING is answered, and an answer to ours is told to whoever sent it, once", async () => {
  const engine = Engine.ready("client");
  await engine.frames();
  engine.send(pingFrame("01234567"));
  const [pong] = await engine.frames();
  assert.deepEqual([pong?.type, pong?.flags, pong?.payload.toString()], [FrameType.PING, Flag.ACK, "01234567"]);
  let answers = 0;
  engine.connection.ping(() => answers++);
  engine.clock.advance(1);
  engine.connection.ping(() => (answers += 10));
  const [first, second] = await engine.frames();
  engine.send(pingFrame(second?.payload, true));
  assert.equal(answers, 10);
  engine.send(pingFrame(first?.payload, true), pingFrame(first?.payload, true));
  assert.equal(answers, 11);
});

test("a transport that breaks tells every stream once, and the owner once", async () => {
  const ends: ((engine: Engine) => void)[] = [
    ({ transport }) => transport.push(null),
    ({ transport }) => transport.destroy(),
    ({ transport }) => transport.destroy(new Error("ECONNRESET")),
  ];
  for (const end of ends) {
    const engine = Engine.ready("client");
    engine.transport.resume();
    const { handler } = engine.open();
    await engine.frames();
    const unsent = engine.open();
    end(engine);
    await settled();
    assert.deepEqual([engine.cause?.kind, engine.closes, handler.events], ["lost", 1, ["abort lost"]]);
    assert.deepEqual(unsent.handler.events, ["abort unsent"], "its head had not left yet");
    assert.equal(engine.transport.destroyed, true);
    assert.equal(engine.clock.pending, 0);
  }
});

test("a fault of whoever listens ends the connection with INTERNAL_ERROR and is told", async () => {
  const engine = Engine.ready("client");
  const { handler } = engine.open();
  handler.onHead = () => {
    throw new Error("a bug");
  };
  engine.send(engine.head(1, ok), pingFrame());
  assert.deepEqual(
    engine.faults.map((fault) => (fault instanceof Error ? fault.message : "")),
    ["a bug"],
  );
  assert.equal((await engine.goaway())?.code, ErrorCode.INTERNAL_ERROR);
  assert.equal(engine.reason, "internal error");
});

test("after it was closed in the middle of a chunk, nothing of the rest is told to anybody", async () => {
  const engine = Engine.ready("client");
  const [first, second] = [engine.open(), engine.open()];
  first.handler.onHead = () => engine.connection.close("enough");
  engine.send(engine.head(1, ok), engine.head(3, ok), dataFrame(3, "x"), pingFrame(), goawayFrame(0, 0));
  assert.deepEqual(second.handler.events, ["abort lost"]);
  assert.deepEqual([engine.closes, engine.goaways], [1, []]);
  assert.deepEqual((await engine.framesOf(FrameType.PING)).length, 0);
  engine.clock.advance(1000);
  assert.equal(engine.transport.destroyed, true);
});

test("a connection that has ended leaves no timer once its transport is gone", async () => {
  const engine = Engine.ready("client");
  engine.connection.close("done");
  assert.equal(engine.clock.pending, 1);
  engine.transport.destroy();
  await settled();
  assert.equal(engine.clock.pending, 0);
});
