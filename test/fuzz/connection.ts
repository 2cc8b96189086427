import assert from "node:assert/strict";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import type { CloseCause } from "../../src/http2/close-cause.ts";
import { Connection } from "../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../src/http2/connection-handler.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { defaultLimits, type Http2Limits } from "../../src/http2/limits.ts";
import { Sender } from "../../src/http2/sender.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { FakeClock } from "../support/clock.ts";
import { TestTransport } from "../support/engine.ts";
import {
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
import { PeerEncoder, type PlainField } from "../support/hpack-peer.ts";
import { FrameReader } from "../support/raw-frames.ts";
import { RawHpackDecoder } from "../support/raw-hpack.ts";
import { pairsOf } from "../support/raw-peer.ts";
import { Listener } from "./listener.ts";
import { mutateFrames } from "./mutate.ts";
import { cuts, shape, type Target } from "./target.ts";

/** Small, so that a few octets reach them. */
const tight = { burst: 6, rate: 1 };
const serverLimits: Http2Limits = {
  ...defaultLimits,
  maxConcurrentStreams: 4,
  maxHeaderListSize: 600,
  maxHeaderFields: 9,
  maxContinuations: 3,
  headerTableSize: 128,
  streamWindow: 300,
  maxStreamWindow: 900,
  windowGrowth: 1000,
  maxUnread: 500,
  maxInterim: 2,
  cancels: { ...defaultLimits.cancels, burst: 2, maxWaiting: 2, youngBase: 2 },
  budgets: {
    resets: tight,
    refused: tight,
    goaways: tight,
    settings: tight,
    pings: tight,
    emptyData: tight,
    priorities: tight,
    windowUpdates: tight,
    streamErrors: tight,
    unknownFrames: tight,
  },
};

/**
 * A caller gives credit as octets come, an application at the end of its request: when credit is announced depends on how octets
 * are cut, and with a small window also who breaks it.
 */
const clientLimits: Http2Limits = { ...serverLimits, streamWindow: 65_535, maxStreamWindow: 200_000 };

/** Octets of what our side says by itself, at most. */
const OWN = 200_000;

/** A connection that has been told everything. */
interface Reading {
  /** What became of each stream, and of the connection. */
  readonly told: ReadonlyMap<number, readonly string[]>;
  /** What our side wrote, by stream; 0 is the connection. */
  readonly said: ReadonlyMap<number, readonly string[]>;
  readonly cause: CloseCause | undefined;
}

/** One connection and whoever listens to it: an application or a caller that does something else on each stream. */
class Subject implements ConnectionHandler {
  private readonly transport = new TestTransport();
  private readonly clock = new FakeClock();
  private readonly headers = new HeaderTable();
  private readonly connection: Connection;
  private readonly listeners = new Map<number, Listener>();
  private readonly events: string[] = [];
  private readonly limits: Http2Limits;
  private cause: CloseCause | undefined = undefined;

  constructor(role: "client" | "server") {
    this.limits = role === "client" ? clientLimits : serverLimits;
    const services = { clock: this.clock, loop: new FlushLoop(this.clock), headers: this.headers };
    const options = { role, limits: this.limits, reuse: "callback", announce: false, fedByOwner: true } as const;
    this.connection = new Connection(this.transport, services, options, this);
    if (role === "server") this.connection.receive(CLIENT_PREFACE);
    else this.openAll();
  }

  /** A caller's streams: with and without a body, one of them larger than any window, one given up, one reset. */
  private openAll(): void {
    const head = this.headers.head([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/a"],
      [":authority", "b"],
    ]);
    for (const octets of [0, 10, 70_000, 1, 1]) {
      const listener = new Listener(this.headers, "caller");
      const stream = this.connection.openStream(head, octets === 0, listener);
      listener.stream = stream;
      this.listeners.set(stream.id, listener);
      if (octets > 0) stream.sendData(Buffer.alloc(octets, "body"), 0, octets, stream.id !== 3);
      if (stream.id === 7) listener.giveUp(() => stream.cancel(ErrorCode.CANCEL));
      if (stream.id === 9) listener.giveUp(() => stream.reset(ErrorCode.CANCEL));
    }
  }

  read(pieces: readonly Buffer[]): Reading {
    const came = pieces.reduce((sum, { length }) => sum + length, 0);
    for (const [at, piece] of pieces.entries()) {
      this.connection.receive(Buffer.from(piece));
      if (at % 64 === 0 || at === pieces.length - 1) this.check(came);
    }
    this.flush();
    const told = new Map([...this.listeners].map(([id, { events }]) => [id, [...events]]));
    told.set(0, [...this.events]);
    const reading = { told, said: spoken(Buffer.concat(this.transport.written)), cause: this.cause };
    this.end();
    return reading;
  }

  /** Nothing is held beyond what the limits allow and what the peer has paid for with octets of its own. */
  private check(came: number): void {
    const { connection, limits } = this;
    assert.ok(connection.activeStreams <= Math.max(5, limits.maxConcurrentStreams));
    let held = 0;
    for (const { unreleased } of connection.streams.values()) held += unreleased;
    assert.ok(
      held <= came && held <= limits.maxConcurrentStreams * 65_535 + limits.windowGrowth,
      `${held} octets are held`,
    );
    const sender: unknown = Reflect.get(connection, "sender");
    assert.ok(sender instanceof Sender && sender.bytes <= OWN + 10 * came, "what is written is bounded by what came");
  }

  private flush(): void {
    const sender: unknown = Reflect.get(this.connection, "sender");
    assert.ok(sender instanceof Sender);
    sender.flush();
  }

  /** Ends the connection, after which everybody has been told and nothing is left. */
  private end(): void {
    this.connection.close("done");
    for (const [id, { ended }] of this.listeners) assert.ok(ended, `stream ${id} has not been told of its end`);
    assert.equal(this.connection.activeStreams, 0);
    assert.ok(this.cause !== undefined);
    const sender: unknown = Reflect.get(this.connection, "sender");
    assert.ok(sender instanceof Sender && sender.waitingStreams === 0);
    this.clock.advance(20_000);
    assert.equal(this.clock.pending, 0, "no timer is left");
    this.transport.destroy();
  }

  onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    assert.equal(this.cause, undefined, "a request after the end of the connection");
    assert.equal(this.listeners.has(stream.id), false, "a request twice");
    const listener = new Listener(this.headers, "application");
    this.listeners.set(stream.id, listener);
    listener.begin(stream, head, end, tooLarge);
  }

  onCapacity(): void {}

  onGoaway(code: number, debug: string): void {
    this.events.push(`goaway ${code} ${debug}`);
  }

  onClose(cause: CloseCause): void {
    assert.equal(this.cause, undefined, "closed twice");
    this.cause = cause;
    this.events.push(`${cause.kind} ${cause.reason}`);
  }

  onFault(error: unknown): void {
    throw error;
  }
}

/** What was written, by stream. How DATA is cut, and when credit is given, depends on how octets came, and is left out. */
function spoken(octets: Buffer): Map<number, string[]> {
  const said = new Map<number, string[]>();
  const decoder = new RawHpackDecoder();
  const say = (stream: number, line: string): void => {
    const lines = said.get(stream) ?? [];
    const last = lines.at(-1);
    if (line.startsWith("DATA ") && last?.startsWith("DATA ") === true && !last.endsWith(" end"))
      lines[lines.length - 1] = last + line.slice(5);
    else lines.push(line);
    said.set(stream, lines);
  };
  const from = octets.subarray(0, CLIENT_PREFACE.length).equals(CLIENT_PREFACE) ? CLIENT_PREFACE.length : 0;
  for (const { type, flags, stream, payload } of new FrameReader().push(octets.subarray(from))) {
    const end = (flags & Flag.END_STREAM) !== 0 ? " end" : "";
    if (type === FrameType.DATA) say(stream, `DATA ${payload.toString("latin1")}${end}`);
    else if (type === FrameType.HEADERS) say(stream, `HEADERS ${pairsOf(decoder.decode(payload)).join("; ")}${end}`);
    else if (type !== FrameType.WINDOW_UPDATE) say(stream, `${type} ${flags} ${payload.toString("latin1")}`);
  }
  return said;
}

/** Two readings of the same octets are the same, but for how much of a stream that broke the rules had been passed on by then. */
function same(one: Reading, other: Reading): void {
  assert.deepEqual(other.cause, one.cause, "the connection ends otherwise");
  assert.deepEqual([...other.told.keys()], [...one.told.keys()]);
  for (const [id, events] of one.told) {
    const others = other.told.get(id) ?? [];
    if (isBroken(events)) assert.deepEqual(withoutData(others), withoutData(events), `stream ${id}`);
    else assert.deepEqual(others, events, `stream ${id}`);
  }
  for (const [id, lines] of one.said)
    if (!isBroken(one.told.get(id) ?? [])) assert.deepEqual(other.said.get(id), lines, `said on ${id}`);
}

function isBroken(events: readonly string[]): boolean {
  return events.at(-1)?.startsWith("abort violation") === true;
}

function withoutData(events: readonly string[]): string[] {
  return events.filter((event) => !event.startsWith("data "));
}

function target(role: "client" | "server", seeds: () => Buffer[]): Target {
  return {
    name: role,
    seeds,
    mutate: mutateFrames,
    run(input) {
      const [whole, ...others] = cuts(input).map((pieces) => new Subject(role).read(pieces));
      assert.ok(whole !== undefined);
      for (const other of others) same(whole, other);
      const events = [...whole.told].flatMap(([id, lines]) =>
        lines.map((line) => (id === 0 ? `connection: ${line}` : line)),
      );
      return events.map(shape);
    },
  };
}

const request = (path: string): PlainField[] => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  [":authority", "b"],
];

/** The server side of a connection, with an application behind it. */
export const server = target("server", () => {
  const encoder = new PeerEncoder(128);
  const ask = (stream: number, end: boolean, ...more: PlainField[]): Buffer =>
    headersFrame(stream, encoder.encode([...request(`/${stream}`), ...more]), { end });
  const start = Buffer.concat([settingsFrame([[4, 100]]), settingsAckFrame]);
  const stateless = new PeerEncoder(0, () => "none").encode(request("/c"));
  return [
    Buffer.concat([
      start,
      ask(1, true),
      ask(3, false),
      dataFrame(3, "hello", true, 2),
      windowFrame(0, 9),
      windowFrame(1, 900),
    ]),
    Buffer.concat([start, ...[1, 3, 5, 7, 9].map((at) => headersFrame(at, stateless))]),
    Buffer.concat([
      start,
      ...[1, 3, 5, 7].flatMap((at) => [headersFrame(at, stateless), dataFrame(at, "x".repeat(200))]),
    ]),
    Buffer.concat([
      start,
      headersFrame(1, stateless),
      dataFrame(1, "x"),
      headersFrame(1, Buffer.of(0x40, 1, 0x61, 1, 0x62), { end: true }),
    ]),
    Buffer.concat([
      start,
      headersFrame(1, stateless),
      resetFrame(1, 8),
      dataFrame(1, "late"),
      pingFrame(),
      priorityFrame(1, 3),
    ]),
    Buffer.concat([
      start,
      headersFrame(1, stateless.subarray(0, 3), { whole: false, end: true }),
      continuationFrame(1, stateless.subarray(3)),
    ]),
    Buffer.concat([
      start,
      goawayFrame(0, 0),
      settingsFrame([
        [1, 0],
        [3, 5],
        [5, 20_000],
        [6, 100],
        [0x4f52, 1],
      ]),
    ]),
  ];
});

/** The client side, with calls under way on streams 1 to 9. */
export const client = target("client", () => {
  const encode = (...fields: PlainField[]): Buffer => new PeerEncoder(0, () => "none").encode(fields);
  const ok = encode([":status", "200"]);
  const start = Buffer.concat([settingsFrame([[3, 100]]), settingsAckFrame]);
  return [
    Buffer.concat([
      start,
      headersFrame(1, encode([":status", "103"])),
      headersFrame(1, ok),
      dataFrame(1, "answer", true),
    ]),
    Buffer.concat([
      start,
      headersFrame(3, ok),
      dataFrame(3, "x", false, 9),
      headersFrame(3, encode(["grpc-status", "0"]), { end: true }),
    ]),
    Buffer.concat([
      start,
      windowFrame(0, 100_000),
      windowFrame(5, 100_000),
      headersFrame(5, ok, { end: true }),
      resetFrame(5, 0),
    ]),
    Buffer.concat([
      start,
      goawayFrame(3, 0),
      headersFrame(1, ok, { end: true }),
      resetFrame(3, 7),
      pingFrame("ping ack", true),
    ]),
    Buffer.concat([start, headersFrame(7, ok), dataFrame(7, "unwanted", true), headersFrame(9, ok, { end: true })]),
    Buffer.concat([
      start,
      settingsFrame([[4, 0]]),
      settingsFrame([[4, 0x7fff_ffff]]),
      headersFrame(1, encode([":status", "200"], ["content-length", "3"])),
      dataFrame(1, "abcd"),
    ]),
  ];
});
