import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodeName } from "../../src/http2/errors.ts";
import { Flag, FrameType } from "../../src/http2/frame.ts";
import { type BudgetName, defaultLimits } from "../../src/http2/limits.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { Engine, requestFields } from "../support/engine.ts";
import {
  clientGreeting,
  continuationFrame,
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
import { frame } from "../support/raw-frames.ts";

/** One limit at a time: what is right at it, and what becomes of one more. Defaults are meant throughout. */

interface Abuse {
  /** Whose peer the abuser is, where only one of the two can do it. */
  readonly role?: "server" | "client";
  /** What has to be there before, and how many units of the budget that has spent. */
  readonly before?: (engine: Engine) => number;
  /** The next unit. */
  readonly unit: (engine: Engine, at: number) => Uint8Array;
}

const requestWithoutPath = requestFields.filter(([name]) => name !== ":path");

function openOne(engine: Engine): number {
  if (engine.connection.role === "server") {
    engine.send(engine.request(1, false));
  } else {
    engine.open(false);
    engine.send(engine.head(1, [[":status", "200"]]));
  }
  return 0;
}

const abuses: Readonly<Record<BudgetName, Abuse>> = {
  resets: {
    role: "server",
    unit: (engine, at) => Buffer.concat([engine.request(2 * at + 1), resetFrame(2 * at + 1, 8)]),
  },
  refused: {
    role: "server",
    before: (engine) => {
      for (let at = 0; at < 1000; at++) engine.send(engine.request(2 * at + 1, false));
      return 0;
    },
    unit: (engine, at) => engine.request(2001 + 2 * at, false),
  },
  goaways: { before: openOne, unit: () => goawayFrame(1, 0) },
  settings: { before: () => 1, unit: () => settingsFrame() },
  pings: { unit: () => pingFrame() },
  emptyData: { before: openOne, unit: () => dataFrame(1, "") },
  priorities: { unit: (_engine, at) => priorityFrame(2 * at + 1, 0) },
  windowUpdates: { unit: () => windowFrame(0, 1) },
  streamErrors: { role: "server", unit: (engine, at) => engine.request(2 * at + 1, true, requestWithoutPath) },
  unknownFrames: { unit: () => frame(0x42, 0, 0) },
};

const both = Object.entries(abuses).flatMap(([name, abuse]) =>
  (["server", "client"] as const)
    .filter((role) => abuse.role === undefined || abuse.role === role)
    .map((role) => [name as BudgetName, role, abuse] as const),
);

for (const [name, role, { before, unit }] of both) {
  const { burst, rate } = defaultLimits.budgets[name];

  test(`a ${role} takes ${burst} ${name} at once, one more ends the connection, and ${rate} a second come free`, async () => {
    const engine = Engine.ready(role);
    const spent = before?.(engine) ?? 0;
    let at = 0;
    const one = (): void => engine.send(unit(engine, at++));
    while (at < burst - spent) one();
    assert.equal(engine.reason, undefined);
    await engine.frames();
    engine.clock.advance(1000);
    for (let more = 0; more < rate; more++) one();
    assert.equal(engine.reason, undefined);
    one();
    const told = await engine.goaway();
    assert.equal(errorCodeName(told?.code ?? 0), "ENHANCE_YOUR_CALM");
    assert.equal(told?.debug, `more ${name} than ${burst} at once and ${rate}/s`);
    assert.deepEqual(engine.faults, []);
  });
}

test("a client takes 200 answers to streams that are over, and one more ends the connection", () => {
  const engine = Engine.ready("client");
  const { stream } = engine.open();
  engine.send(engine.head(stream.id, [[":status", "200"]], true));
  for (let at = 0; at < 200; at++) engine.send(engine.head(stream.id, [[":status", "200"]], true));
  assert.equal(engine.reason, undefined);
  engine.send(engine.head(stream.id, [[":status", "200"]], true));
  assert.equal(engine.reason, "more streamErrors than 200 at once and 20/s");
});

test("acknowledgements that nobody asked for count as what they pretend to answer", () => {
  const settings = Engine.ready("server");
  for (let at = 0; at < 49; at++) settings.send(settingsAckFrame);
  assert.equal(settings.reason, undefined);
  settings.send(settingsAckFrame);
  assert.equal(settings.reason, "more settings than 50 at once and 5/s");
  const pings = Engine.ready("server");
  for (let at = 0; at < 200; at++) pings.send(pingFrame("12345678", true));
  assert.equal(pings.reason, undefined);
  pings.send(pingFrame("12345678", true));
  assert.equal(pings.reason, "more pings than 200 at once and 20/s");
});

test("a server that resets streams which are over has a budget, and for those that are open it has none", () => {
  const engine = Engine.ready("client", { maxConcurrentStreams: 10_000 });
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 100_000]]));
  for (let at = 0; at < 6000; at++) {
    const { stream } = engine.open();
    engine.send(resetFrame(stream.id, 7));
  }
  assert.equal(engine.reason, undefined);
  for (let at = 0; at < 5000; at++) engine.send(resetFrame(1, 7));
  assert.equal(engine.reason, undefined);
  engine.send(resetFrame(1, 7));
  assert.equal(engine.reason, "more resets than 5000 at once and 1000/s");
});

test("1000 streams are served at once, and one more is refused", async () => {
  const engine = Engine.ready("server");
  for (let at = 0; at < 1000; at++) engine.send(engine.request(2 * at + 1, false));
  assert.equal(engine.accepted.length, 1000);
  engine.send(engine.request(2001, false));
  assert.equal(engine.accepted.length, 1000);
  const [refusal] = await engine.framesOf(FrameType.RST_STREAM);
  assert.deepEqual([refusal?.stream, refusal?.payload.readUInt32BE(0)], [2001, 7]);
  engine.send(resetFrame(1, 8), engine.request(2003, false));
  assert.equal(engine.accepted.length, 1001);
});

test("a client opens 1000 streams at once where a server allows more, and fewer where it does", () => {
  const engine = Engine.ready("client");
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 0xffff_ffff]]));
  for (let at = 0; at < 1000; at++) engine.open();
  assert.equal(engine.connection.canOpen, false);
  engine.send(resetFrame(1, 7));
  assert.equal(engine.connection.available, 1);
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 999]]));
  assert.equal(engine.connection.canOpen, false);
});

/** A request whose header list has exactly so many octets. */
function listOf(octets: number): PlainField[] {
  const fields: PlainField[] = [...requestFields];
  const size = (): number => fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  for (let at = 0; octets - size() > 5000; at++) fields.push([`x-fill-${at}`, "v".repeat(4000)]);
  fields.push(["x-last", "v".repeat(octets - size() - "x-last".length - 32)]);
  assert.equal(size(), octets);
  return fields;
}

function send(engine: Engine, stream: number, fields: readonly PlainField[]): void {
  const block = engine.encoder.encode(fields);
  const parts = Array.from({ length: Math.ceil(block.length / 16_384) }, (_, at) =>
    block.subarray(at * 16_384, (at + 1) * 16_384),
  );
  const [first, ...rest] = parts;
  assert.ok(first !== undefined);
  engine.send(headersFrame(stream, first, { end: true, whole: rest.length === 0 }));
  rest.forEach((part, at) => {
    engine.send(continuationFrame(stream, part, at === rest.length - 1));
  });
}

test("a header list of 65,536 octets is taken, and one of an octet more is told as too large", () => {
  const engine = Engine.ready("server");
  send(engine, 1, listOf(65_536));
  send(engine, 3, listOf(65_537));
  assert.deepEqual(
    engine.accepted.map(({ tooLarge }) => tooLarge),
    [false, true],
  );
  assert.equal(engine.accept(0).head.size, 65_536);
  // Both ends' tables are still the same.
  send(engine, 5, requestFields);
  assert.equal(engine.accept(2).head.get(":path"), "/test.v1.Test/Call");
});

test("a header list of 1000 fields is taken, and one of 1001 is told as too large", () => {
  const engine = Engine.ready("server", { maxHeaderListSize: 1_000_000 });
  const fields = (count: number): PlainField[] => [
    ...requestFields,
    ...Array.from({ length: count - requestFields.length }, (): PlainField => ["x", "1"]),
  ];
  send(engine, 1, fields(1000));
  send(engine, 3, fields(1001));
  assert.deepEqual(
    engine.accepted.map(({ tooLarge }) => tooLarge),
    [false, true],
  );
});

test("an answer's header list over the limit is its stream's fault, and no other's", () => {
  const engine = Engine.ready("client");
  const [first, second] = [engine.open(), engine.open()];
  send(engine, first.stream.id, [
    [":status", "200"],
    ["x-big", "v".repeat(65_536)],
  ]);
  assert.deepEqual(first.handler.abort, {
    kind: "violation",
    code: 11,
    reason: "a header list over 65536 octets or 1000 fields",
  });
  engine.send(engine.head(second.stream.id, [[":status", "200"]], true));
  assert.deepEqual(second.handler.events, ["head end"]);
  assert.equal(engine.reason, undefined);
});

test("16 CONTINUATION frames are taken, and 17 end the connection", () => {
  for (const [count, reason] of [
    [16, undefined],
    [17, "more than 16 CONTINUATION frames in a header block"],
  ] as const) {
    const engine = Engine.ready("server");
    const block = engine.encoder.encode(requestFields);
    engine.send(headersFrame(1, block, { whole: false, end: true }));
    for (let at = 1; at <= count; at++) engine.send(continuationFrame(1, Buffer.alloc(0), at === count));
    assert.equal(engine.reason, reason);
  }
});

test("a header block of twice the largest list is read to its end, and an octet more ends the connection", () => {
  const open = (octets: number): Engine => {
    const engine = Engine.ready("server");
    const parts = Array.from({ length: Math.ceil(octets / 16_384) }, (_, at) =>
      Buffer.alloc(Math.min(16_384, octets - at * 16_384), 0x82),
    );
    parts.forEach((part, at) => {
      if (at === 0) engine.send(headersFrame(1, part, { whole: false }));
      else engine.send(continuationFrame(1, part, false));
    });
    return engine;
  };
  assert.equal(open(131_072).reason, undefined);
  assert.equal(open(131_073).reason, "a header block of more than 131072 octets");
});

test("a dynamic table of 4096 octets is allowed, and an octet more breaks the connection", () => {
  const update = (size: number): Engine => {
    const engine = Engine.ready("server");
    engine.encoder.resize(size);
    engine.send(engine.request(1));
    return engine;
  };
  assert.equal(update(4096).reason, undefined);
  assert.match(update(4097).reason ?? "", /table size update to 4097/);
});

test("16 interim heads are passed on, and one more ends the stream", () => {
  const engine = Engine.ready("client");
  const { stream, handler } = engine.open();
  for (let at = 0; at < 16; at++) engine.send(engine.head(stream.id, [[":status", "103"]]));
  assert.deepEqual(
    handler.events,
    Array.from({ length: 16 }, () => "informational 103"),
  );
  engine.send(engine.head(stream.id, [[":status", "103"]]));
  assert.deepEqual(handler.abort, { kind: "violation", code: 1, reason: "too many interim responses" });
  assert.equal(engine.reason, undefined);
});

test("what the peer makes us write may wait up to 1 MiB, and over it the connection ends", async () => {
  const engine = Engine.ready("server", {
    budgets: { ...defaultLimits.budgets, pings: { burst: 1e6, rate: 1e6 } },
  });
  await engine.frames();
  engine.transport.stalled = true;
  const pongs = Math.floor(1_048_576 / 17);
  const some = Buffer.concat(Array.from({ length: 1000 }, () => pingFrame()));
  for (let at = 0; at + 1000 <= pongs; at += 1000) {
    engine.send(some);
    await engine.frames();
  }
  for (let at = Math.floor(pongs / 1000) * 1000; at < pongs; at++) engine.send(pingFrame());
  assert.equal(engine.reason, undefined);
  engine.send(pingFrame());
  assert.equal(engine.reason, "the peer does not read what it makes us write");
});

test("what was written and read by the peer does not count as waiting, however much it was", async () => {
  const engine = Engine.ready("server", {
    budgets: { ...defaultLimits.budgets, pings: { burst: 1e6, rate: 1e6 } },
  });
  const some = Buffer.concat(Array.from({ length: 30_000 }, () => pingFrame()));
  for (let round = 0; round < 5; round++) {
    engine.transport.stalled = true;
    engine.send(some);
    await engine.frames();
    engine.transport.flow();
    await engine.frames();
  }
  assert.equal(engine.reason, undefined);
});

test("answers may wait for a slow peer up to 16 MiB, and over it the connection ends", async () => {
  const engine = Engine.ready("server");
  const big = engine.headers.head([
    [":status", "200"],
    ["x-big", "v".repeat(32_000)],
  ]);
  await engine.frames();
  engine.transport.stalled = true;
  engine.answer = ({ stream }) => stream.sendHead(big, true);
  for (let at = 0; at < 523; at++) engine.send(engine.request(2 * at + 1));
  assert.equal(engine.reason, undefined, "523 heads of 32,060 octets and their frames are just below");
  for (let at = 523; at < 526; at++) engine.send(engine.request(2 * at + 1));
  assert.equal(engine.reason, "the peer does not read the answers that it asked for");
});

test("a client with 16 MiB of heads to write opens no more streams until the server has read some, and stays", async () => {
  const engine = Engine.ready("client");
  engine.send(settingsFrame([[SettingId.MAX_CONCURRENT_STREAMS, 10_000]]));
  await engine.frames();
  engine.transport.stalled = true;
  let opened = 0;
  for (; engine.connection.canOpen; opened++) engine.open(true, [...requestFields, ["x-big", "v".repeat(32_000)]]);
  assert.ok(opened > 500 && opened < 550, `${opened}`);
  engine.send(pingFrame());
  assert.equal(engine.reason, undefined);
  engine.transport.flow();
  await engine.frames();
  assert.equal(engine.connection.canOpen, true);
});

test("a peer has 10 s for its preface and SETTINGS, and for the acknowledgement of ours", async () => {
  const silent = new Engine("server");
  const slow = new Engine("server");
  const half = new Engine("server");
  half.send(clientGreeting);
  for (let at = 0; at < 9; at++) {
    slow.send(clientGreeting.subarray(at, at + 1));
    for (const { clock } of [silent, slow, half]) clock.advance(1000);
  }
  for (const { clock } of [silent, slow, half]) clock.advance(999);
  for (const { reason } of [silent, slow, half]) assert.equal(reason, undefined);
  for (const { clock } of [silent, slow, half]) clock.advance(1);
  assert.equal(silent.reason, "no HTTP/2 preface came in time");
  assert.equal(slow.reason, "no HTTP/2 preface came in time");
  assert.equal(half.reason, "SETTINGS were not acknowledged in time");
  assert.equal(errorCodeName((await half.goaway())?.code ?? -1), "SETTINGS_TIMEOUT");
  const done = Engine.ready("server");
  done.clock.advance(1e9);
  assert.equal(done.reason, undefined);
});

test("a server has 5 s for its SETTINGS, and for the acknowledgement of ours", async () => {
  const [silent, half] = [new Engine("client"), new Engine("client")];
  half.send(settingsFrame());
  for (const { clock } of [silent, half]) clock.advance(4999);
  for (const { reason } of [silent, half]) assert.equal(reason, undefined);
  for (const { clock } of [silent, half]) clock.advance(1);
  assert.equal(silent.reason, "no SETTINGS came in time");
  assert.equal(half.reason, "SETTINGS were not acknowledged in time");
  const done = Engine.ready("client");
  done.clock.advance(1e9);
  assert.equal(done.reason, undefined);
});

test("a peer is told the limits that it can keep to", async () => {
  const engine = new Engine("server");
  engine.clock.advance(100);
  const [settings, window] = await engine.frames();
  const told = new Map<number, number>();
  for (let at = 0; at < (settings?.payload.length ?? 0); at += 6)
    told.set(settings?.payload.readUInt16BE(at) ?? 0, settings?.payload.readUInt32BE(at + 2) ?? 0);
  assert.deepEqual(
    [...told],
    [
      [SettingId.HEADER_TABLE_SIZE, 4096],
      [SettingId.INITIAL_WINDOW_SIZE, 131_072],
      [SettingId.MAX_HEADER_LIST_SIZE, 65_536],
      [SettingId.MAX_CONCURRENT_STREAMS, 1000],
    ],
  );
  assert.equal(window?.payload.readUInt32BE(0), 1_048_576 - 65_535);
  const client = await new Engine("client").frames();
  assert.equal(client[0]?.payload.subarray(18).toString("hex"), "000200000000");
});

test("DATA up to the windows is taken; over a stream's it ends the stream, over the connection's the connection", async () => {
  const engine = Engine.ready("server");
  const full = Buffer.alloc(16_384);
  for (const stream of [1, 3]) {
    engine.send(engine.request(stream, false));
    engine.accept().handler.releases = false;
    for (let at = 0; at < 8; at++) engine.send(frame(FrameType.DATA, 0, stream, full));
  }
  assert.deepEqual([engine.accept(0).handler.data.length, engine.accept(1).handler.data.length], [131_072, 131_072]);
  engine.send(dataFrame(1, "x"));
  assert.equal(engine.accept(0).handler.abort?.kind, "violation");
  assert.equal((await engine.framesOf(FrameType.RST_STREAM))[0]?.payload.readUInt32BE(0), 3);
  assert.equal(engine.accept(1).handler.abort, undefined);
  // As of now nothing is credited before it is taken.
  const narrow = Engine.ready("server", { maxUnread: 0 });
  for (let at = 0; at < 8; at++) {
    narrow.send(narrow.request(2 * at + 1, false));
    narrow.accept().handler.releases = false;
    for (let piece = 0; piece < 8; piece++) narrow.send(frame(FrameType.DATA, 0, 2 * at + 1, full));
  }
  assert.equal(narrow.reason, undefined, "1 MiB is the connection's window");
  narrow.send(narrow.request(17, false), frame(FrameType.DATA, Flag.END_STREAM, 17, Buffer.of(1)));
  assert.equal(narrow.reason, "more DATA than the connection's window allows");
});

test("a window grows to its maximum, and all of a connection's together by no more than their share", async () => {
  const engine = Engine.ready("server");
  const window = (at: number): number => engine.accept(at).stream.recv.size;
  const full = Buffer.alloc(16_384);
  for (let at = 0; at < 10; at++) {
    engine.send(engine.request(2 * at + 1, false));
    for (let piece = 0; piece < 600; piece++) engine.send(frame(FrameType.DATA, 0, 2 * at + 1, full));
  }
  assert.equal(engine.reason, undefined);
  assert.equal(window(0), 4_194_304);
  const grown = Array.from({ length: 10 }, (_, at) => window(at) - 131_072).reduce((sum, one) => sum + one, 0);
  assert.equal(grown, 33_554_432);
  engine.send(resetFrame(1, 8), engine.request(21, false));
  for (let piece = 0; piece < 600; piece++) engine.send(frame(FrameType.DATA, 0, 21, full));
  assert.equal(window(10), 4_194_304, "what one stream gives back another may have");
  for (let at = 1; at < 11; at++) engine.send(resetFrame(2 * at + 1, 8));
  await engine.frames();
  assert.equal(engine.connection.atRest, true);
});
