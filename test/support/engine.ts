import { Duplex } from "node:stream";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import type { CloseCause } from "../../src/http2/close-cause.ts";
import { Connection } from "../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../src/http2/connection-handler.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { CLIENT_PREFACE, FrameType } from "../../src/http2/frame.ts";
import { defaultLimits, type Http2Limits } from "../../src/http2/limits.ts";
import type { Stream, StreamAbort, StreamHandler } from "../../src/http2/stream.ts";
import type { Unread } from "../../src/http2/unread.ts";
import { FakeClock, settled } from "./clock.ts";
import { clientGreeting, headersFrame, settingsAckFrame, settingsFrame } from "./frames.ts";
import { PeerEncoder, type PlainField } from "./hpack-peer.ts";
import { FrameReader, type RawFrame } from "./raw-frames.ts";

/** A transport whose other end is the test: it keeps what is written, and takes it at once or when it is told to. */
export class TestTransport extends Duplex {
  readonly written: Buffer[] = [];
  /** Writes stay incomplete, as on a socket whose peer does not read. */
  stalled = false;
  private readonly held: (() => void)[] = [];

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 16_384 });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    if (this.stalled) this.held.push(done);
    else done();
  }

  /** Completes what was written while it was stalled, and what is written from now on. */
  flow(): void {
    this.stalled = false;
    for (const done of this.held.splice(0)) done();
  }
}

/** Writes down what a stream tells, and releases the octets that come unless told to keep them. */
export class RecordingHandler implements StreamHandler {
  readonly events: string[] = [];
  readonly heads: Head[] = [];
  data = "";
  sent = 0;
  abort: StreamAbort | undefined = undefined;
  /** Octets of DATA are released as they come. */
  releases = true;
  stream: Stream | undefined = undefined;

  onInformational(head: Head): void {
    this.heads.push(head);
    this.events.push(`informational ${head.get(":status")}`);
  }

  onHead(head: Head, end: boolean): void {
    this.heads.push(head);
    this.events.push(`head${end ? " end" : ""}`);
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    this.data += buffer.toString("latin1", start, end);
    this.events.push(`data ${end - start}${fin ? " end" : ""}`);
    if (this.releases) this.stream?.release(end - start);
  }

  onTrailers(head: Head): void {
    this.heads.push(head);
    this.events.push("trailers");
  }

  onSent(octets: number): void {
    this.sent += octets;
  }

  onAbort(abort: StreamAbort): void {
    this.abort = abort;
    this.events.push(`abort ${abort.kind}`);
  }
}

/** A request that a server got. */
export interface Accepted {
  readonly stream: Stream;
  readonly head: Head;
  readonly end: boolean;
  readonly tooLarge: boolean;
  readonly handler: RecordingHandler;
}

export const requestFields: readonly PlainField[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/test.v1.Test/Call"],
  [":authority", "test"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
];

/** One connection of the engine. Its peer is the test, which speaks frames; time is moved by hand. */
export class Engine implements ConnectionHandler {
  readonly clock: FakeClock;
  readonly transport = new TestTransport();
  readonly connection: Connection;
  readonly headers = new HeaderTable();
  readonly encoder = new PeerEncoder();
  readonly accepted: Accepted[] = [];
  readonly faults: unknown[] = [];
  readonly goaways: string[] = [];
  cause: CloseCause | undefined = undefined;
  closes = 0;
  capacity = 0;
  /** Called with every request, before anything else is done with it. */
  answer: ((accepted: Accepted) => void) | undefined = undefined;
  private readonly reader = new FrameReader();
  private readAt = 0;
  private prefaceLeft: number;

  /** `unread`: what all connections of a test keep, with the loop of all of them. */
  constructor(
    role: "client" | "server",
    limits: Partial<Http2Limits> = {},
    clock = new FakeClock(),
    shared: { readonly loop: FlushLoop; readonly unread?: Unread } = { loop: new FlushLoop(clock) },
    extendedConnect = false,
  ) {
    this.clock = clock;
    const services = { clock, headers: this.headers, ...shared };
    const options = {
      role,
      limits: { ...defaultLimits, ...limits },
      reuse: "callback",
      announce: false,
      extendedConnect,
      fedByOwner: true,
    } as const;
    this.prefaceLeft = role === "client" ? CLIENT_PREFACE.length : 0;
    this.connection = new Connection(this.transport, services, options, this);
  }

  /** A server whose client has greeted and acknowledged, or the other way round. */
  static ready(role: "client" | "server", limits: Partial<Http2Limits> = {}): Engine {
    const engine = new Engine(role, limits);
    engine.send(role === "server" ? clientGreeting : settingsFrame(), settingsAckFrame);
    return engine;
  }

  /** Octets from the peer, read at once. */
  send(...octets: readonly Uint8Array[]): void {
    this.connection.receive(Buffer.concat(octets));
  }

  /** Frames that the engine has written since the last look. */
  async frames(): Promise<RawFrame[]> {
    await settled(2);
    const fresh = Buffer.concat(this.transport.written.slice(this.readAt));
    this.readAt = this.transport.written.length;
    const skip = Math.min(this.prefaceLeft, fresh.length);
    this.prefaceLeft -= skip;
    return this.reader.push(fresh.subarray(skip));
  }

  /** The same, of one type. */
  async framesOf(type: number): Promise<RawFrame[]> {
    return (await this.frames()).filter((one) => one.type === type);
  }

  /** The code of the GOAWAY among the frames since the last look. */
  async goaway(): Promise<{ readonly code: number; readonly last: number; readonly debug: string } | undefined> {
    const [first] = await this.framesOf(FrameType.GOAWAY);
    if (first === undefined) return undefined;
    const { payload } = first;
    return {
      last: payload.readUInt32BE(0),
      code: payload.readUInt32BE(4),
      debug: payload.toString("latin1", 8),
    };
  }

  /** HEADERS of a request. */
  request(stream: number, end = true, fields: Iterable<PlainField> = requestFields): Buffer {
    return headersFrame(stream, this.encoder.encode(fields), { end });
  }

  /** HEADERS of any fields. */
  head(stream: number, fields: Iterable<PlainField>, end = false): Buffer {
    return headersFrame(stream, this.encoder.encode(fields), { end });
  }

  /** Opens a stream as a client. */
  open(end = true, fields: Iterable<PlainField> = requestFields): { stream: Stream; handler: RecordingHandler } {
    const handler = new RecordingHandler();
    const stream = this.connection.openStream(this.headers.head(fields), end, handler);
    handler.stream = stream;
    return { stream, handler };
  }

  /** Why the connection is over; undefined while it is not. */
  get reason(): string | undefined {
    return this.cause?.reason;
  }

  /** The request number `at`. */
  accept(at = this.accepted.length - 1): Accepted {
    const found = this.accepted[at];
    if (found === undefined) throw new Error(`there are ${this.accepted.length} requests`);
    return found;
  }

  // --- what the connection tells ---

  onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    const handler = new RecordingHandler();
    handler.stream = stream;
    stream.handler = handler;
    const accepted = { stream, head, end, tooLarge, handler };
    this.accepted.push(accepted);
    this.answer?.(accepted);
  }

  onCapacity(): void {
    this.capacity++;
  }

  onGoaway(code: number, debug: string): void {
    this.goaways.push(`${code} ${debug}`.trimEnd());
  }

  onClose(cause: CloseCause): void {
    this.cause = cause;
    this.closes++;
  }

  onFault(error: unknown): void {
    this.faults.push(error);
  }
}
