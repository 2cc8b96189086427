import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { CLIENT_PREFACE, Flag, FrameType, MAX_STREAM_ID } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { settled } from "../support/clock.ts";
import { Engine, requestFields } from "../support/engine.ts";
import {
  clientGreeting,
  dataFrame,
  goawayFrame,
  headersFrame,
  pingFrame,
  priorityFrame,
  resetFrame,
  settingsAckFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { RawHpackDecoder } from "../support/raw-hpack.ts";
import { pairsOf } from "../support/raw-peer.ts";

const ok: readonly PlainField[] = [[":status", "200"]];

test("a server says SETTINGS and its window once its client speaks, or has been silent for 100 ms, and before all else", async () => {
  const greeting = [FrameType.SETTINGS, FrameType.WINDOW_UPDATE];
  const types = async (engine: Engine): Promise<number[]> => (await engine.frames()).map(({ type }) => type);
  const engine = new Engine("server");
  assert.deepEqual(await types(engine), []);
  engine.send(CLIENT_PREFACE.subarray(0, 1));
  assert.deepEqual(await types(engine), greeting);
  engine.send(clientGreeting.subarray(1));
  const [ack] = await engine.frames();
  assert.deepEqual([ack?.type, ack?.flags, ack?.payload.length], [FrameType.SETTINGS, Flag.ACK, 0]);

  const silent = new Engine("server");
  silent.clock.advance(99);
  assert.deepEqual(await types(silent), []);
  silent.clock.advance(1);
  assert.deepEqual(await types(silent), greeting);

  const [leaving, closed, pinging] = [new Engine("server"), new Engine("server"), new Engine("server")];
  leaving.connection.shutdown("enough");
  closed.connection.close("enough");
  pinging.connection.ping(() => {});
  assert.deepEqual(await types(leaving), [...greeting, FrameType.GOAWAY, FrameType.PING]);
  assert.deepEqual(await types(closed), [...greeting, FrameType.GOAWAY]);
  assert.deepEqual(await types(pinging), [...greeting, FrameType.PING]);
});

test("a client of HTTP/1 reads in its own protocol what is wrong, where no frame has been said", async () => {
  for (const first of ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "POST http://a/ HTTP/1.1\r\n", "OPTIONS * HTTP/1.0\r\n"]) {
    const engine = new Engine("server");
    engine.send(Buffer.from(first, "latin1"));
    await settled(2);
    const [head = "", body = ""] = Buffer.concat(engine.transport.written).toString("latin1").split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 505 [\s\S]*\r\nconnection: close$/);
    assert.match(head, new RegExp(`content-length: ${body.length}\r\n`));
    assert.match(body, /^not HTTP\/2: this is an HTTP\/1 request, .*--http2-prior-knowledge\)\n$/);
    assert.equal(engine.cause?.kind, "violation");
    assert.equal(engine.clock.pending, 1, "it has a second to read that");
  }
  const late = new Engine("server");
  late.clock.advance(100);
  late.send(Buffer.from("GET / HTTP/1.1\r\n"));
  assert.equal(
    (await late.goaway())?.debug,
    "not HTTP/2: this is an HTTP/1 request, and this port speaks HTTP/2 with prior knowledge, as gRPC does",
  );
});

test("a preface is read in any pieces, and one that is not is told from its first wrong octet on", async () => {
  const engine = new Engine("server");
  for (const octet of Buffer.concat([clientGreeting, settingsAckFrame, engine.request(1)]))
    engine.send(Buffer.of(octet));
  assert.equal(engine.accepted.length, 1);
  for (const [wrong, why] of [
    ["PRI * HTTP/1.1", "the connection preface is missing"],
    ["\x16\x03\x01\x02", "these octets are TLS, and this port speaks plaintext"],
    ["SSH-2.0-OpenSSH", "the connection preface is missing"],
  ] as const) {
    const other = new Engine("server");
    other.send(Buffer.from(wrong, "latin1"));
    assert.equal(other.reason, `not HTTP/2: ${why}`);
    assert.equal((await other.goaway())?.code, ErrorCode.PROTOCOL_ERROR);
  }
  const silent = new Engine("server");
  silent.send(CLIENT_PREFACE, pingFrame());
  assert.equal(silent.reason, "not HTTP/2: what came first is not SETTINGS");
});

test("a request is told with its head, and answered with heads, DATA and trailers", async () => {
  const engine = Engine.ready("server");
  await engine.frames();
  engine.send(engine.request(1, false), dataFrame(1, "hello"), dataFrame(1, "", true));
  const { stream, head, end, handler } = engine.accept();
  assert.deepEqual(
    [...head.entries()].map(([name, value]) => [name, value]),
    requestFields,
  );
  assert.equal(end, false);
  assert.deepEqual(handler.events, ["data 5", "data 0 end"]);
  stream.sendHead(engine.headers.head([[":status", "100"]]), false);
  stream.sendHead(engine.headers.head(ok), false);
  stream.sendData(Buffer.from("world"), 0, 5, false);
  stream.sendTrailers(engine.headers.head([["grpc-status", "0"]]));
  const decoder = new RawHpackDecoder();
  const frames = await engine.frames();
  assert.deepEqual(
    frames.map(({ type, flags, payload }) =>
      type === FrameType.HEADERS ? [flags, pairsOf(decoder.decode(payload))] : [flags, payload.toString()],
    ),
    [
      [Flag.END_HEADERS, [[":status", "100"]]],
      [Flag.END_HEADERS, [[":status", "200"]]],
      [0, "world"],
      [Flag.END_HEADERS | Flag.END_STREAM, [["grpc-status", "0"]]],
    ],
  );
  assert.equal(engine.connection.atRest, true);
});

test("a request may have trailers, and may end with its head", () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1), engine.request(3, false), engine.head(3, [["x-check", "1"]], true));
  assert.deepEqual([engine.accept(0).end, engine.accept(1).end], [true, false]);
  assert.deepEqual(engine.accept(1).handler.events, ["trailers"]);
});

const malformed: readonly (readonly [string, (engine: Engine) => readonly Buffer[], number])[] = [
  [
    "a head without :path",
    (engine) => [
      engine.request(1, true, [
        [":method", "GET"],
        [":scheme", "http"],
      ]),
    ],
    1,
  ],
  [
    "content-length above 0 without DATA",
    (engine) => [engine.request(1, true, [...requestFields, ["content-length", "1"]])],
    1,
  ],
  [
    "content-length that is no number",
    (engine) => [engine.request(1, true, [...requestFields, ["content-length", "-1"]])],
    1,
  ],
  [
    "a stream that depends on itself",
    (engine) => [headersFrame(1, engine.encoder.encode(requestFields), { dependsOn: 1 })],
    1,
  ],
];

for (const [name, make, code] of malformed) {
  test(`a request with ${name} is never told, and its stream ends`, async () => {
    const engine = Engine.ready("server");
    await engine.frames();
    engine.send(...make(engine), engine.request(3));
    assert.deepEqual(
      engine.accepted.map(({ stream }) => stream.id),
      [3],
    );
    const [reset] = await engine.frames();
    assert.deepEqual([reset?.type, reset?.stream, reset?.payload.readUInt32BE(0)], [FrameType.RST_STREAM, 1, code]);
  });
}

/** What a client may not do on a stream, the error of the stream, and whether the handler hears of it. */
const brokenStreams: readonly (readonly [string, (engine: Engine) => readonly Buffer[], number, boolean])[] = [
  ["DATA after its end", () => [dataFrame(1, "", true), dataFrame(1, "x")], ErrorCode.STREAM_CLOSED, true],
  ["HEADERS after its end", (engine) => [dataFrame(1, "", true), engine.request(1)], ErrorCode.STREAM_CLOSED, true],
  ["trailers that do not end", (engine) => [engine.head(1, [["x", "1"]])], ErrorCode.PROTOCOL_ERROR, true],
  ["trailers with a pseudo-header", (engine) => [engine.request(1)], ErrorCode.PROTOCOL_ERROR, true],
  ["WINDOW_UPDATE of 0", () => [windowFrame(1, 0)], ErrorCode.PROTOCOL_ERROR, true],
  [
    "PRIORITY of 4 octets",
    () => [Buffer.from("000004020000000001" + "00000000", "hex")],
    ErrorCode.FRAME_SIZE_ERROR,
    true,
  ],
  ["PRIORITY that depends on itself", () => [priorityFrame(1, 1)], ErrorCode.PROTOCOL_ERROR, true],
];

for (const [name, make, code] of brokenStreams) {
  test(`${name} ends the stream alone`, async () => {
    const engine = Engine.ready("server");
    engine.send(engine.request(1, false), engine.request(3, false));
    await engine.frames();
    engine.send(...make(engine));
    const [reset] = await engine.framesOf(FrameType.RST_STREAM);
    assert.deepEqual([reset?.stream, reset?.payload.readUInt32BE(0)], [1, code]);
    assert.deepEqual(engine.accept(0).handler.abort?.kind, "violation");
    engine.send(dataFrame(3, "x", true));
    assert.deepEqual(engine.accept(1).handler.events, ["data 1 end"]);
    assert.equal(engine.reason, undefined);
  });
}

const broken: readonly (readonly [string, (engine: Engine) => Buffer, number])[] = [
  ["a stream of an even identifier", (engine) => engine.request(2), ErrorCode.PROTOCOL_ERROR],
  ["a stream that was left out", (engine) => engine.request(1), ErrorCode.STREAM_CLOSED],
  ["DATA on a stream that was left out until then", () => dataFrame(9, "x"), ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM on an idle stream", () => resetFrame(9, 8), ErrorCode.PROTOCOL_ERROR],
  ["WINDOW_UPDATE on an idle stream", () => windowFrame(9, 1), ErrorCode.PROTOCOL_ERROR],
  ["DATA on a stream of ours", () => dataFrame(2, "x"), ErrorCode.PROTOCOL_ERROR],
  ["HEADERS that cannot be decoded", () => headersFrame(9, Buffer.of(0x80)), ErrorCode.COMPRESSION_ERROR],
  ["a preface in the middle", () => CLIENT_PREFACE, ErrorCode.FRAME_SIZE_ERROR],
];

for (const [name, make, code] of broken) {
  test(`${name} ends the connection`, async () => {
    const engine = Engine.ready("server");
    engine.send(engine.request(3, false));
    engine.send(make(engine));
    const told = await engine.goaway();
    assert.deepEqual([told?.code, told?.last], [code, 3]);
    assert.deepEqual(engine.accept().handler.events, ["abort broken"]);
    assert.equal(engine.cause?.kind, "violation");
    engine.clock.advance(1000);
    assert.equal(engine.transport.destroyed, true);
  });
}

test("what comes for a stream that is over because the client ended it is refused, stream by stream", async () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1, false), resetFrame(1, 8));
  await engine.frames();
  engine.send(dataFrame(1, "x"), dataFrame(1, "x"), windowFrame(1, 1), priorityFrame(1, 0), resetFrame(1, 8));
  const resets = await engine.framesOf(FrameType.RST_STREAM);
  assert.deepEqual(
    resets.map(({ stream, payload }) => [stream, payload.readUInt32BE(0)]),
    [[1, ErrorCode.STREAM_CLOSED]],
    "once: then it has been told",
  );
  assert.equal(engine.reason, undefined);
  engine.send(engine.request(3), engine.request(1));
  assert.equal(engine.reason, undefined, "HEADERS may have been on their way");
});

test("what comes for a thousand streams that we reset is dropped, credited, and no fault of the client", async () => {
  const engine = Engine.ready("server");
  for (let at = 0; at < 1000; at++) engine.send(engine.request(2 * at + 1, false));
  for (const { stream } of engine.accepted) stream.reset(ErrorCode.NO_ERROR);
  for (let at = 0; at < 1000; at++)
    engine.send(dataFrame(2 * at + 1, "x".repeat(500)), engine.head(2 * at + 1, [["x-check", "1"]], true));
  assert.equal(engine.reason, undefined);
  await engine.frames();
  assert.equal(engine.connection.atRest, true);
  engine.send(engine.request(2001));
  assert.equal(engine.accepted.length, 1001);
});

test("a client that gives up is told to whoever answers, and an answer to it goes nowhere", async () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1, false), dataFrame(1, "x"));
  const { stream, handler } = engine.accept();
  await engine.frames();
  engine.send(resetFrame(1, 8));
  assert.deepEqual(handler.abort, { kind: "reset", code: 8 });
  stream.sendHead(engine.headers.head(ok), false);
  stream.sendData(Buffer.from("x"), 0, 1, true);
  stream.release(1);
  stream.reset(ErrorCode.CANCEL);
  assert.deepEqual(await engine.frames(), []);
  assert.equal(engine.connection.atRest, true);
});

test("a graceful end takes what comes until the client has answered, and then says which stream was the last", async () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1, false));
  await engine.frames();
  engine.connection.shutdown("draining");
  const [first, ping] = await engine.frames();
  assert.deepEqual([first?.type, first?.payload.readUInt32BE(0)], [FrameType.GOAWAY, MAX_STREAM_ID]);
  assert.equal(first?.payload.toString("latin1", 8), "draining");
  assert.equal(ping?.type, FrameType.PING);
  engine.send(engine.request(3, false));
  assert.equal(engine.accepted.length, 2);
  engine.send(pingFrame(ping?.payload, true));
  assert.equal((await engine.goaway())?.last, 3);
  engine.send(engine.request(5, false));
  assert.equal(engine.connection.isLate(engine.accept(2).stream), true);
  engine.accept(2).stream.reset(ErrorCode.REFUSED_STREAM);
  for (const { stream } of engine.accepted.slice(0, 2)) stream.sendHead(engine.headers.head(ok), true);
  assert.equal(engine.reason, undefined, "the clients still send");
  engine.send(dataFrame(1, "", true), dataFrame(3, "", true));
  assert.equal(engine.reason, "no stream is left");
  assert.equal(engine.transport.writableEnded, true);
});

test("a client that does not answer the PING is told the last stream after a second", async () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1));
  engine.connection.shutdown("draining");
  await engine.frames();
  engine.clock.advance(999);
  assert.equal(await engine.goaway(), undefined);
  engine.clock.advance(1);
  assert.equal((await engine.goaway())?.last, 1);
});

test("a connection that is closed amid a graceful end says which stream was the last", async () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1));
  engine.connection.shutdown("draining");
  await engine.frames();
  assert.equal(engine.connection.takesStreams, true);
  engine.connection.close("grace is over");
  assert.equal((await engine.goaway())?.last, 1);
  assert.equal(engine.connection.takesStreams, false);
});

test("a client's GOAWAY ends the connection with its last stream, and no stream before", () => {
  const engine = Engine.ready("server");
  engine.send(engine.request(1), goawayFrame(0, 0));
  assert.deepEqual(engine.accept().handler.events, []);
  assert.equal(engine.reason, undefined);
  engine.accept().stream.sendHead(engine.headers.head(ok), true);
  assert.equal(engine.reason, "no stream is left");
});

test("smaller windows than the default are kept by both ends, whatever is on its way when they are announced", async () => {
  const engine = new Engine("server", { streamWindow: 1000, maxStreamWindow: 1000, connectionWindow: 0 });
  engine.clock.advance(100);
  assert.deepEqual(
    (await engine.frames()).map(({ type }) => type),
    [FrameType.SETTINGS],
    "no SETTINGS make a connection's window smaller",
  );
  engine.send(clientGreeting, engine.request(1, false));
  const { stream, handler } = engine.accept();
  handler.releases = false;
  for (let at = 0; at < 3; at++) engine.send(dataFrame(1, Buffer.alloc(16_384)));
  engine.send(dataFrame(1, Buffer.alloc(16_383)));
  assert.deepEqual([handler.data.length, engine.reason], [65_535, undefined]);
  engine.send(settingsAckFrame);
  await engine.frames();
  stream.release(65_535);
  const updates = await engine.framesOf(FrameType.WINDOW_UPDATE);
  assert.deepEqual(
    updates.filter((one) => one.stream === 1).map(({ payload }) => payload.readUInt32BE(0)),
    [65_535],
  );
  // By the client's account: 1000 - 65,535 + 65,535.
  engine.send(dataFrame(1, Buffer.alloc(1000)));
  assert.deepEqual(
    handler.events.filter((event) => event.startsWith("abort")),
    [],
  );
  engine.send(dataFrame(1, Buffer.alloc(1)));
  assert.equal(handler.abort?.kind, "violation");
});

test("after the acknowledgement a window is what was announced", async () => {
  const engine = Engine.ready("server", { streamWindow: 1000, maxStreamWindow: 1000 });
  engine.send(engine.request(1, false), dataFrame(1, Buffer.alloc(1001)));
  assert.equal((await engine.framesOf(FrameType.RST_STREAM))[0]?.payload.readUInt32BE(0), ErrorCode.FLOW_CONTROL_ERROR);
});

test("a table size that was lowered and raised in one frame is signalled by its smallest value too", async () => {
  const engine = Engine.ready("server");
  const decoder = new RawHpackDecoder();
  const answer = async (stream: number): Promise<Buffer> => {
    engine.send(engine.request(stream));
    engine.accept().stream.sendHead(engine.headers.head([...ok, ["x-a", "kept"]]), true);
    const [head] = await engine.framesOf(FrameType.HEADERS);
    assert.deepEqual(pairsOf(decoder.decode(head?.payload ?? Buffer.alloc(0))), [...ok, ["x-a", "kept"]]);
    return head?.payload ?? Buffer.alloc(0);
  };
  for (const stream of [1, 3, 5]) await answer(stream);
  engine.send(
    settingsFrame([
      [SettingId.HEADER_TABLE_SIZE, 0],
      [SettingId.HEADER_TABLE_SIZE, 4096],
    ]),
  );
  const payload = await answer(7);
  assert.equal(payload.subarray(0, 4).toString("hex"), "203fe11f", "to 0, then to 4096");
});

test("octets that were not taken when their stream ends are given back to the connection", async () => {
  const engine = Engine.ready("server", { maxUnread: 0, connectionWindow: 65_535, maxConnectionWindow: 65_535 });
  await engine.frames();
  for (let at = 0; at < 4; at++) {
    const stream = 2 * at + 1;
    engine.send(engine.request(stream, false));
    engine.accept().handler.releases = false;
    for (let piece = 0; piece < 3; piece++) engine.send(dataFrame(stream, Buffer.alloc(16_000), false, 100));
    engine.send(resetFrame(stream, 8));
    await settled();
    assert.equal(engine.connection.atRest, true);
  }
  assert.equal(engine.reason, undefined);
});

test("a handler that answers and closes in the middle of a request leaves nothing behind", async () => {
  const engine = Engine.ready("server");
  engine.answer = ({ stream }) => {
    stream.sendHead(engine.headers.head(ok), true);
    engine.connection.close("enough");
  };
  engine.send(engine.request(1, false), dataFrame(1, "x"), engine.request(3));
  assert.equal(engine.accepted.length, 1);
  assert.deepEqual(
    (await engine.frames()).slice(-2).map(({ type }) => type),
    [FrameType.HEADERS, FrameType.GOAWAY],
  );
  assert.deepEqual([engine.connection.activeStreams, engine.closes], [0, 1]);
});
