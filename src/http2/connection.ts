import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../core/clock.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import { Budgets } from "./budgets.ts";
import { ConnectionError, ErrorCode } from "./errors.ts";
import { contentLength, fieldsFault, isInformational } from "./fields.ts";
import { CLIENT_PREFACE, DEFAULT_WINDOW, MAX_STREAM_ID, MAX_WINDOW } from "./frame.ts";
import { FrameDecoder, type FrameSink } from "./frame-decoder.ts";
import type { FlushLoop } from "./flush-loop.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import type { Http2Limits } from "./limits.ts";
import type { BufferReuse } from "./output.ts";
import { Sender } from "./sender.ts";
import { applySettings, defaultPeerSettings, type PeerSettings, SettingId } from "./settings.ts";
import { Stream, type StreamAbort, type StreamHandler, type StreamHost } from "./stream.ts";
import { RecvWindow } from "./window.ts";

export type Role = "client" | "server";

/** Why a connection is over. */
export type CloseCause =
  /** We closed it, or both sides had nothing more to say. */
  | { readonly kind: "closed"; readonly reason: string }
  /** The peer broke the protocol or a limit. */
  | { readonly kind: "violation"; readonly code: ErrorCode; readonly reason: string }
  /** The transport failed or the peer went away. */
  | { readonly kind: "lost"; readonly reason: string };

/** Who listens to a connection. */
export interface ConnectionHandler {
  /**
   * Server only: a request. The handler gives the stream its own handler before it returns. `tooLarge`: the header list went
   * over the limit and `head` holds what fitted.
   */
  onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void;
  /** Another stream can perhaps be opened now: one has ended, or the peer's settings came. */
  onCapacity(): void;
  /** The peer will take no more streams. */
  onGoaway(code: ErrorCode, debug: string): void;
  /** Called once; every stream has been told before. */
  onClose(cause: CloseCause): void;
  /** A fault of our own: the connection is closed with INTERNAL_ERROR. */
  onFault(error: unknown): void;
}

/** What all connections of a process share. */
export interface Http2Services {
  readonly clock: Clock;
  readonly loop: FlushLoop;
  readonly headers: HeaderTable;
}

export interface ConnectionOptions {
  readonly role: Role;
  readonly limits: Http2Limits;
  readonly reuse: BufferReuse;
  /** Tell the peer that we are a sidecar. */
  readonly announce: boolean;
  /** The transport's octets are handed to `receive` by its owner instead of read from its data events. */
  readonly fedByOwner?: boolean;
}

/** Streams that we reset lately: what the peer sent before it knew is ignored (RFC 9113 §5.4.2). */
const RESET_MEMORY = 128;
/** Milliseconds for a peer to read our last frames before its socket is destroyed. */
const LINGER = 1000;

/**
 * One HTTP/2 connection over a duplex, in either role: the wiring of decoder, HPACK, windows, streams and output.
 *
 * Invariants:
 * - every octet of DATA received is credited to the connection window exactly once: when its reader releases it, when its
 *   stream ends, or at once where nobody reads it;
 * - a stream is in `streams` from its head until it is closed, and its handler hears of its end exactly once;
 * - after `phase` left "open" nothing is read any more, after "closed" nothing is written.
 */
export class Connection implements FrameSink, StreamHost {
  // --- immutable ---
  readonly role: Role;
  private readonly services: Http2Services;
  private readonly limits: Http2Limits;
  private readonly transport: Duplex;
  private readonly handler: ConnectionHandler;

  // --- state of the connection ---
  private phase: "open" | "closing" | "closed" = "open";
  private readonly streams = new Map<number, Stream>();
  private nextStreamId: number;
  private lastPeerStreamId = 0;
  private goawaySent: number | undefined = undefined;
  private goawayReceived = false;
  private readonly recentResets: number[] = [];
  private timer: Timer | undefined;

  // --- owned by the read side ---
  private readonly decoder: FrameDecoder;
  private readonly hpackDecoder: HpackDecoder;
  private readonly budgets: Budgets;
  readonly recvWindow: RecvWindow;
  private prefaceLeft: number;
  private dataStream: Stream | undefined = undefined;
  private dataEnds = false;
  private settingsAcked = false;
  private settingsSeen = false;
  readonly peer: PeerSettings = defaultPeerSettings();
  bytesReceived = 0;

  // --- owned by the write side ---
  private readonly sender: Sender;
  private pings: { readonly payload: Buffer; readonly done: () => void }[] = [];

  constructor(transport: Duplex, services: Http2Services, options: ConnectionOptions, handler: ConnectionHandler) {
    this.transport = transport;
    this.services = services;
    this.role = options.role;
    this.limits = options.limits;
    this.handler = handler;
    this.nextStreamId = options.role === "client" ? 1 : 2;
    this.prefaceLeft = options.role === "server" ? CLIENT_PREFACE.length : 0;
    this.budgets = new Budgets(options.limits.budgets);
    this.sender = new Sender(transport, options.reuse, services.loop);
    this.recvWindow = new RecvWindow(this.limits.connectionWindow, this.limits.maxConnectionWindow, services.loop.now());
    this.hpackDecoder = new HpackDecoder(services.headers, {
      maxTableSize: this.limits.headerTableSize,
      maxListSize: this.limits.maxHeaderListSize,
      maxFields: this.limits.maxHeaderFields,
    });
    this.decoder = new FrameDecoder(this, {
      // A block is rarely longer than its list; twice the list leaves room for any encoder that wastes some.
      maxBlockSize: this.limits.maxHeaderListSize * 2,
      maxContinuations: this.limits.maxContinuations,
    });
    if (options.fedByOwner !== true) transport.on("data", (chunk: Buffer) => this.receive(chunk));
    transport.on("end", () => this.lost("the peer closed the connection"));
    transport.on("error", (error) => this.lost(error.message));
    transport.on("close", () => this.lost("the connection was closed"));
    this.timer = services.clock.setTimer(this.limits.handshakeTimeout, () => this.handshakeOver());
    this.greet(options.announce);
  }

  /** Our preface, RFC 9113 §3.4. */
  private greet(announce: boolean): void {
    if (this.role === "client") this.sender.preface();
    const settings: [number, number][] = [
      [SettingId.INITIAL_WINDOW_SIZE, this.limits.streamWindow],
      [SettingId.MAX_HEADER_LIST_SIZE, this.limits.maxHeaderListSize],
    ];
    if (this.limits.headerTableSize !== 4096) settings.push([SettingId.HEADER_TABLE_SIZE, this.limits.headerTableSize]);
    if (this.role === "client") settings.push([SettingId.ENABLE_PUSH, 0]);
    else settings.push([SettingId.MAX_CONCURRENT_STREAMS, this.limits.maxConcurrentStreams]);
    if (announce) settings.push([SettingId.OUTRIGGER, 1]);
    this.sender.settings(settings);
    if (this.limits.connectionWindow > DEFAULT_WINDOW) this.sender.windowUpdate(0, this.limits.connectionWindow - DEFAULT_WINDOW);
  }

  // --- what the owner may ask ---

  /** Whether `openStream` may be called now. */
  get canOpen(): boolean {
    return this.available > 0;
  }

  /** Streams that may still be opened now. */
  get available(): number {
    if (this.phase !== "open" || this.goawayReceived || this.goawaySent !== undefined) return 0;
    if (this.role !== "client" || this.nextStreamId > MAX_STREAM_ID) return 0;
    return Math.max(0, this.peer.maxConcurrentStreams - this.streams.size);
  }

  get activeStreams(): number {
    return this.streams.size;
  }

  /** Takes no more streams, whoever said so. */
  get draining(): boolean {
    return this.phase !== "open" || this.goawayReceived || this.goawaySent !== undefined;
  }

  get bytesSent(): number {
    return this.sender.bytes;
  }

  /** Opens a stream with a request's head. Only where `canOpen`. */
  openStream(head: Head, end: boolean, handler: StreamHandler): Stream {
    if (!this.canOpen) throw new Error("openStream on a connection that can take no stream");
    const id = this.nextStreamId;
    this.nextStreamId += 2;
    const stream = new Stream(id, this, handler, this.peer.initialWindow, this.newWindow());
    stream.change("sendHeaders");
    this.streams.set(id, stream);
    this.writeHead(stream, head, end);
    if (end) stream.change("sendEnd");
    return stream;
  }

  /** Sends a PING; `done` is called when it is acknowledged. */
  ping(done: () => void): void {
    if (this.phase !== "open") return;
    const payload = Buffer.allocUnsafe(8);
    payload.writeDoubleBE(this.services.loop.now() + this.pings.length, 0);
    this.pings.push({ payload, done });
    this.sender.ping(payload, 0, false);
  }

  /**
   * Ends the connection without losing a stream, RFC 9113 §6.8: first a GOAWAY that still allows everything, then, once the
   * peer has answered a PING and so has seen it, one with the last stream taken. Closes when the last stream has ended.
   */
  shutdown(reason: string): void {
    if (this.phase !== "open" || this.goawaySent !== undefined) return;
    if (this.role === "client") {
      this.goawaySent = 0;
      this.sender.goaway(0, ErrorCode.NO_ERROR, reason);
      this.closeWhenIdle();
      return;
    }
    this.goawaySent = MAX_STREAM_ID;
    this.sender.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR, reason);
    const second = (): void => {
      this.timer?.cancel();
      if (this.phase !== "open" || this.goawaySent !== MAX_STREAM_ID) return;
      this.goawaySent = this.lastPeerStreamId;
      this.sender.goaway(this.lastPeerStreamId, ErrorCode.NO_ERROR, reason);
      this.closeWhenIdle();
    };
    this.timer?.cancel();
    this.timer = this.services.clock.setTimer(LINGER, second);
    this.ping(second);
  }

  /** Ends the connection now. Streams are told that it is lost. */
  close(reason: string, code: ErrorCode = ErrorCode.NO_ERROR): void {
    if (this.phase !== "open") return;
    this.leave(code, reason, { kind: "closed", reason });
  }

  // --- reading ---

  /** Takes octets from the transport. They are the caller's again when it returns. */
  receive(chunk: Buffer): void {
    if (this.phase !== "open") return;
    this.bytesReceived += chunk.length;
    try {
      if (this.prefaceLeft > 0) {
        const size = Math.min(this.prefaceLeft, chunk.length);
        const from = CLIENT_PREFACE.length - this.prefaceLeft;
        if (chunk.compare(CLIENT_PREFACE, from, from + size, 0, size) !== 0)
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "not HTTP/2: the connection preface is missing");
        this.prefaceLeft -= size;
        if (size < chunk.length) this.decoder.push(chunk.subarray(size));
      } else {
        this.decoder.push(chunk);
      }
    } catch (error) {
      if (error instanceof ConnectionError) {
        this.leave(error.code, error.message, { kind: "violation", code: error.code, reason: error.message });
      } else {
        this.handler.onFault(error);
        this.leave(ErrorCode.INTERNAL_ERROR, "internal error", { kind: "closed", reason: "internal error" });
      }
    }
  }

  onHeaders(id: number, buffer: Buffer, start: number, end: number, endStream: boolean, dependsOn: number): void {
    // The block is decoded whatever becomes of it: the HPACK state is the connection's (RFC 9113 §4.3).
    const head = this.hpackDecoder.decode(buffer, start, end);
    const tooLarge = this.hpackDecoder.tooLarge;
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.role === "server") this.acceptStream(id, head, endStream, tooLarge, dependsOn);
      else this.headersOnClosed(id);
      return;
    }
    if (dependsOn === id) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
    if (!stream.canReceive) return this.streamError(stream, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream");
    if (tooLarge) return this.streamError(stream, ErrorCode.ENHANCE_YOUR_CALM, "a header list over the limit");
    if (stream.headSeen) this.trailers(stream, head, endStream);
    else this.responseHead(stream, head, endStream);
  }

  private acceptStream(id: number, head: Head, endStream: boolean, tooLarge: boolean, dependsOn: number): void {
    if (id % 2 === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `a client opened stream ${id}`);
    if (id <= this.lastPeerStreamId) {
      if (this.recentResets.includes(id)) return;
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${id}, which is closed`);
    }
    if (this.goawaySent !== undefined && id > this.goawaySent) return;
    this.lastPeerStreamId = id;
    const stream = new Stream(id, this, NOBODY, this.peer.initialWindow, this.newWindow());
    stream.change("recvHeaders");
    stream.headSeen = true;
    this.streams.set(id, stream);
    if (dependsOn === id) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
    if (this.streams.size > this.limits.maxConcurrentStreams) {
      stream.reset(ErrorCode.REFUSED_STREAM);
      return;
    }
    const fault = fieldsFault(head, "request") ?? this.lengthFault(stream, head, endStream);
    if (fault !== undefined && !tooLarge) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, fault);
    if (endStream) stream.change("recvEnd");
    this.handler.onStream(stream, head, endStream, tooLarge);
  }

  private responseHead(stream: Stream, head: Head, endStream: boolean): void {
    const fault = fieldsFault(head, "response");
    if (fault !== undefined) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, fault);
    if (isInformational(head)) {
      // RFC 9113 §8.1: an interim response does not end the stream.
      if (endStream) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "an interim response that ends its stream");
      stream.handler.onInformational(head);
      return;
    }
    stream.headSeen = true;
    const lengthFault = this.lengthFault(stream, head, endStream);
    // A HEAD or 304 answer announces a length that no DATA follows; a response that ends at once is not held to it.
    if (lengthFault !== undefined && !endStream) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, lengthFault);
    const { handler } = stream;
    if (endStream) stream.change("recvEnd");
    handler.onHead(head, endStream);
  }

  private trailers(stream: Stream, head: Head, endStream: boolean): void {
    // RFC 9113 §8.1: a second header section is the trailers and ends the stream.
    if (!endStream) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM");
    const fault = fieldsFault(head, "trailers");
    if (fault !== undefined) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, fault);
    if (stream.expected > 0) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "fewer octets than content-length says");
    const { handler } = stream;
    stream.change("recvEnd");
    handler.onTrailers(head);
  }

  private lengthFault(stream: Stream, head: Head, endStream: boolean): string | undefined {
    const length = contentLength(head);
    if (length === undefined) return undefined;
    if (length < 0) return "a content-length that is not a number";
    stream.expected = length;
    return endStream && length > 0 ? "fewer octets than content-length says" : undefined;
  }

  private headersOnClosed(id: number): void {
    if (this.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `HEADERS on idle stream ${id}`);
    this.budgets.spend("streamErrors", this.services.loop.now());
  }

  onDataFrame(id: number, length: number, endStream: boolean): void {
    if (!this.recvWindow.receive(length))
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window allows");
    this.dataEnds = endStream;
    const stream = this.streams.get(id);
    this.dataStream = undefined;
    if (stream === undefined) {
      if (this.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `DATA on idle stream ${id}`);
      this.closedStreamError(id);
      return;
    }
    if (!stream.canReceive) return this.streamError(stream, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream");
    if (!stream.headSeen) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "DATA before the head");
    if (!stream.recv.receive(length))
      return this.streamError(stream, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window allows");
    if (length === 0 && !endStream) this.budgets.spend("emptyData", this.services.loop.now());
    this.dataStream = stream;
  }

  onPadding(octets: number): void {
    this.credit(octets);
    const stream = this.dataStream;
    if (stream !== undefined) this.creditStream(stream, octets);
  }

  onData(buffer: Buffer, start: number, end: number, last: boolean): void {
    const stream = this.dataStream;
    const octets = end - start;
    if (stream === undefined || stream.state === "closed") {
      this.credit(octets);
      return;
    }
    const fin = last && this.dataEnds;
    if (stream.expected >= 0) {
      stream.expected -= octets;
      if (stream.expected < 0 || (fin && stream.expected > 0)) {
        this.credit(octets);
        return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "other octets than content-length says");
      }
    }
    stream.unreleased += octets;
    const { handler } = stream;
    if (fin) stream.change("recvEnd");
    handler.onData(buffer, start, end, fin);
  }

  onPriority(id: number, dependsOn: number): void {
    this.budgets.spend("priorities", this.services.loop.now());
    if (dependsOn !== id) return;
    const stream = this.streams.get(id);
    if (stream === undefined) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `stream ${id} depends on itself`);
    this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
  }

  onReset(id: number, code: ErrorCode): void {
    if (this.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `RST_STREAM on idle stream ${id}`);
    if (this.role === "server") this.budgets.spend("resets", this.services.loop.now());
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    const { handler } = stream;
    stream.change("recvReset");
    handler.onAbort({ kind: "reset", code });
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.budgets.spend("settings", this.services.loop.now());
    const before = this.peer.initialWindow;
    applySettings(this.peer, buffer, start, end, this.role === "client");
    this.sender.setHeaderTableSize(this.peer.headerTableSize);
    this.sender.settingsAck();
    this.checkBacklog();
    const change = this.peer.initialWindow - before;
    if (change !== 0) {
      for (const stream of this.streams.values()) {
        if (!stream.send.increase(change))
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE takes a window above 2^31-1");
        if (change > 0 && stream.queued > 0) this.sender.wait(stream);
      }
      if (change > 0) this.sender.pump();
    }
    this.settingsSeen = true;
    this.handshakeDone();
    this.handler.onCapacity();
  }

  onSettingsAck(): void {
    this.settingsAcked = true;
    this.handshakeDone();
  }

  onPing(buffer: Buffer, start: number, ack: boolean): void {
    if (!ack) {
      this.budgets.spend("pings", this.services.loop.now());
      this.sender.ping(buffer, start, true);
      this.checkBacklog();
      return;
    }
    const at = this.pings.findIndex(({ payload }) => buffer.compare(payload, 0, 8, start, start + 8) === 0);
    if (at < 0) return;
    const [ping] = this.pings.splice(at, 1);
    ping?.done();
  }

  onGoaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    this.goawayReceived = true;
    for (const stream of [...this.streams.values()]) {
      if (stream.id > lastStreamId && (stream.id % 2 === 1) === (this.role === "client")) this.abort(stream, { kind: "unprocessed" });
    }
    this.handler.onGoaway(code, debug);
    this.closeWhenIdle();
  }

  onWindowUpdate(id: number, increment: number): void {
    this.budgets.spend("windowUpdates", this.services.loop.now());
    if (id === 0) {
      // RFC 9113 §6.9: an increment of 0 is an error, of the connection on stream 0.
      if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      if (!this.sender.window.increase(increment))
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `the connection's window went above ${MAX_WINDOW}`);
      this.sender.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `WINDOW_UPDATE on idle stream ${id}`);
      return;
    }
    if (increment === 0) return this.streamError(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    if (!stream.send.increase(increment))
      return this.streamError(stream, ErrorCode.FLOW_CONTROL_ERROR, `the stream's window went above ${MAX_WINDOW}`);
    if (stream.queued > 0) {
      this.sender.wait(stream);
      this.sender.pump();
    }
  }

  onUnknown(): void {
    this.budgets.spend("unknownFrames", this.services.loop.now());
  }

  onStreamError(id: number, code: ErrorCode, reason: string): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) this.streamError(stream, code, reason);
    else if (this.isIdle(id)) throw new ConnectionError(code, reason);
    else this.closedStreamError(id);
  }

  private isIdle(id: number): boolean {
    const ours = (id % 2 === 1) === (this.role === "client");
    return ours ? id >= this.nextStreamId : id > this.lastPeerStreamId;
  }

  private streamError(stream: Stream, code: ErrorCode, reason: string): void {
    this.budgets.spend("streamErrors", this.services.loop.now());
    const { handler } = stream;
    stream.reset(code);
    handler.onAbort({ kind: "violation", code, reason });
  }

  /** A frame on a stream that is over: ignored where we ended it, else the peer is told (RFC 9113 §5.1). */
  private closedStreamError(id: number): void {
    if (this.role === "client" || this.recentResets.includes(id)) return;
    this.budgets.spend("streamErrors", this.services.loop.now());
    this.writeResetOf(id, ErrorCode.STREAM_CLOSED);
  }

  // --- what streams ask of their connection ---

  writeHead(stream: Stream, head: Head, end: boolean): void {
    this.sender.head(stream, head, end);
  }

  writeData(stream: Stream, buffer: Buffer, start: number, end: number, fin: boolean): number {
    return this.sender.data(stream, buffer, start, end, fin);
  }

  writeReset(stream: Stream, code: ErrorCode): void {
    this.writeResetOf(stream.id, code);
  }

  wait(stream: Stream): void {
    this.sender.wait(stream);
  }

  release(stream: Stream, octets: number): void {
    this.credit(octets);
    this.creditStream(stream, octets);
  }

  closed(stream: Stream): void {
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    if (stream.unreleased > 0) {
      this.credit(stream.unreleased);
      stream.unreleased = 0;
    }
    if (this.goawaySent !== undefined || this.goawayReceived) this.closeWhenIdle();
    this.handler.onCapacity();
  }

  private writeResetOf(id: number, code: ErrorCode): void {
    if (this.recentResets.push(id) > RESET_MEMORY) this.recentResets.shift();
    this.sender.reset(id, code);
    this.checkBacklog();
  }

  private credit(octets: number): void {
    const increment = this.recvWindow.release(octets, this.services.loop.now());
    if (increment > 0 && this.phase === "open") this.sender.windowUpdate(0, increment);
  }

  private creditStream(stream: Stream, octets: number): void {
    if (!stream.canReceive) return;
    const increment = stream.recv.release(octets, this.services.loop.now());
    if (increment > 0) this.sender.windowUpdate(stream.id, increment);
  }

  private newWindow(): RecvWindow {
    return new RecvWindow(this.limits.streamWindow, this.limits.maxStreamWindow, this.services.loop.now());
  }

  /** A peer that makes us write and does not read is cut off: what waits for it is bounded. */
  private checkBacklog(): void {
    if (this.sender.backlog > this.limits.maxControlBacklog) {
      this.transport.destroy();
      this.finish({ kind: "violation", code: ErrorCode.ENHANCE_YOUR_CALM, reason: "the peer does not read what it asks for" });
    }
  }

  // --- the end ---

  private handshakeDone(): void {
    if (!this.settingsSeen || !this.settingsAcked || this.goawaySent !== undefined) return;
    this.timer?.cancel();
    this.timer = undefined;
  }

  private handshakeOver(): void {
    const reason = this.settingsSeen ? "SETTINGS were not acknowledged in time" : "no HTTP/2 preface came in time";
    this.leave(ErrorCode.SETTINGS_TIMEOUT, reason, { kind: "violation", code: ErrorCode.SETTINGS_TIMEOUT, reason });
  }

  private closeWhenIdle(): void {
    if (this.streams.size > 0 || this.goawaySent === MAX_STREAM_ID || this.phase !== "open") return;
    this.leave(ErrorCode.NO_ERROR, "", { kind: "closed", reason: "no stream is left" });
  }

  private abort(stream: Stream, abort: StreamAbort): void {
    const { handler } = stream;
    stream.change("recvReset");
    handler.onAbort(abort);
  }

  /** Says GOAWAY and closes once the peer has had time to read it. */
  private leave(code: ErrorCode, reason: string, cause: CloseCause): void {
    if (this.phase !== "open") return;
    this.phase = "closing";
    if (this.goawaySent === undefined || code !== ErrorCode.NO_ERROR) this.sender.goaway(this.lastPeerStreamId, code, reason);
    this.finish(cause);
    this.sender.flush();
    this.transport.end();
    this.services.clock.setTimer(LINGER, () => this.transport.destroy());
  }

  private lost(reason: string): void {
    if (this.phase === "open") this.transport.destroy();
    this.finish({ kind: "lost", reason });
  }

  private finish(cause: CloseCause): void {
    if (this.phase === "closed") return;
    this.phase = "closed";
    this.timer?.cancel();
    this.sender.stop();
    for (const stream of [...this.streams.values()]) this.abort(stream, { kind: "lost", reason: cause.reason });
    this.handler.onClose(cause);
  }
}

/** Holds a new stream until its connection's handler has given it one. */
const NOBODY: StreamHandler = {
  onInformational() {},
  onHead() {},
  onData() {},
  onTrailers() {},
  onSent() {},
  onAbort() {},
};
