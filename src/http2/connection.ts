import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../core/clock.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import { Cancels, type CancelsHost } from "./cancels.ts";
import type { CloseCause } from "./close-cause.ts";
import type { ConnectionHandler } from "./connection-handler.ts";
import { ConnectionError, ErrorCode } from "./errors.ts";
import type { FlushLoop } from "./flush-loop.ts";
import { MAX_STREAM_ID } from "./frame.ts";
import { Greeting } from "./greeting.ts";
import { Handshake } from "./handshake.ts";
import { SPEAKS_HTTP1 } from "./http1.ts";
import { Intake, type IntakeHost } from "./intake.ts";
import type { Http2Limits } from "./limits.ts";
import type { BufferReuse } from "./output.ts";
import { Pings } from "./pings.ts";
import { Receiver, type ReceiverHost, type Role } from "./receiver.ts";
import { ResetMemory } from "./reset-memory.ts";
import { Sender } from "./sender.ts";
import type { PeerSettings } from "./settings.ts";
import { NOBODY, Stream, type StreamAbort, type StreamHandler, type StreamHost } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";
import { Burden, LEAVES_MOST, type Unread } from "./unread.ts";
import { RecvWindow } from "./window.ts";

/** What all connections of a process share. */
export interface Http2Services {
  readonly clock: Clock;
  readonly loop: FlushLoop;
  readonly headers: HeaderTable;
  /** Absent: there is no bound of what all connections together keep. */
  readonly unread?: Unread;
}

/** Which end of a connection it is, and within which bounds. */
export interface ConnectionOptions {
  readonly role: Role;
  readonly limits: Http2Limits;
  readonly reuse: BufferReuse;
  /** Tell the peer that we are a sidecar. */
  readonly announce: boolean;
  /** Server only: tell clients that extended CONNECT is taken (RFC 8441 §3). It is malformed where they were not told. */
  readonly extendedConnect?: boolean;
  /** The transport's octets are handed to `receive` by its owner instead of read from its data events. */
  readonly fedByOwner?: boolean;
}

/** Milliseconds for a peer to read our last frames before its socket is destroyed. */
const LINGER = 1000;

/**
 * One HTTP/2 connection over a duplex, in either role. The receiver says what frames mean, the sender writes them; here is
 * which streams there are, and how the connection begins and ends.
 *
 * Invariants:
 * - a stream is in `streams` from its head until it is closed, and its handler hears of its end exactly once;
 * - after `phase` left "open" nothing is read any more and every stream has been told.
 */
export class Connection implements ReceiverHost, StreamHost, CancelsHost, IntakeHost {
  // --- immutable ---
  readonly role: Role;
  private readonly services: Http2Services;
  private readonly limits: Http2Limits;
  private readonly transport: Duplex;
  private readonly handler: ConnectionHandler;
  private readonly receiver: Receiver;
  private readonly sender: Sender;
  private readonly intake: Intake;

  // --- streams ---
  readonly streams = new StreamTable<Stream>();
  private nextStreamId: number;
  private lastPeerStreamId = 0;
  /** Octets that had come when the first of the open streams was opened. */
  private receivedBefore = 0;
  private readonly recentResets = new ResetMemory();
  private readonly cancels: Cancels;

  // --- beginning and end ---
  private readonly greeting: Greeting;
  private phase: "open" | "closed" = "open";
  private goawaySent: number | undefined = undefined;
  private goawayReceived = false;
  /** Other connections are to take new streams, whatever the peer says. */
  private usedUp = false;
  private readonly handshake: Handshake;
  private timer: Timer | undefined;
  private readonly burden: Burden | undefined;
  private readonly pings = new Pings();

  constructor(transport: Duplex, services: Http2Services, options: ConnectionOptions, handler: ConnectionHandler) {
    this.transport = transport;
    this.services = services;
    this.role = options.role;
    this.limits = options.limits;
    this.handler = handler;
    this.nextStreamId = options.role === "client" ? 1 : 2;
    this.sender = new Sender(transport, options.reuse, services.loop, (octets) => this.burden?.hold(octets));
    this.receiver = new Receiver(this, this.sender, options, services.loop, services.headers);
    this.intake = new Intake(transport, this.receiver, services.loop, services.clock, options.limits, this);
    this.cancels = new Cancels(options.limits.cancels, services.clock, this);
    if (options.fedByOwner !== true) transport.on("data", (chunk: Buffer) => this.receive(chunk));
    transport.on("end", () => this.lost("the peer closed the connection"));
    transport.on("error", (error) => this.lost(error.message));
    transport.on("close", () => {
      this.lost("the connection was closed");
      // Node's closed sockets live until a full collection; this connection is not to live on with them.
      transport.removeAllListeners();
      transport.on("error", () => {});
    });
    this.handshake = new Handshake(services.clock, options.role, options.limits, (reason) =>
      this.failed(new ConnectionError(ErrorCode.SETTINGS_TIMEOUT, reason)),
    );
    if (services.unread !== undefined)
      this.burden = new Burden(services.unread, this.receiver, this.role === "server", () =>
        this.failed(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, LEAVES_MOST)),
      );
    this.greeting = new Greeting(this.sender, services.clock, options);
  }

  // --- what the owner may ask ---

  /** The settings that the peer has announced, or the defaults until it does. */
  get peer(): Readonly<PeerSettings> {
    return this.receiver.peer;
  }

  /** Streams that may still be opened now. */
  get available(): number {
    if (this.draining || this.role !== "client" || this.sender.backlog > this.limits.maxBacklog) return 0;
    return Math.max(0, this.receiver.peer.maxConcurrentStreams - this.streams.size);
  }

  /** Whether `openStream` may be called now. */
  get canOpen(): boolean {
    return this.available > 0;
  }

  /** Takes no more streams, whoever said so. */
  get draining(): boolean {
    return this.phase !== "open" || this.goawayReceived || this.goawaySent !== undefined || this.usedUp;
  }

  /** Whether we have opened a stream. */
  get used(): boolean {
    return this.nextStreamId > 2;
  }

  /** Streams that we have opened. */
  get opened(): number {
    return this.nextStreamId >> 1;
  }

  get activeStreams(): number {
    return this.streams.size;
  }

  get bytesSent(): number {
    return this.sender.bytes;
  }

  /** Milliseconds of the clock when octets came last. */
  get heardAt(): number {
    return this.receiver.heardAt;
  }

  get bytesReceived(): number {
    return this.receiver.bytes;
  }

  /** For tests of leaks: nothing is held of any stream, and the peer has the whole window again. */
  get atRest(): boolean {
    return this.streams.size === 0 && this.sender.waitingStreams === 0 && this.receiver.atRest;
  }

  /** Whether the peer opened a stream after it had been told that it would not be processed (RFC 9113 §6.8). */
  isLate(stream: Stream): boolean {
    return this.goawaySent !== undefined && stream.id > this.goawaySent;
  }

  /** Whether a stream that the peer opens from now on is processed: it has not been told which one was the last. */
  get takesStreams(): boolean {
    return this.phase === "open" && (this.goawaySent === undefined || this.goawaySent === MAX_STREAM_ID);
  }

  /** Opens a stream with a request's head. Only where `canOpen`. */
  openStream(head: Head, end: boolean, handler: StreamHandler): Stream {
    if (!this.canOpen) throw new Error("openStream on a connection that can take no stream");
    const id = this.nextStreamId;
    this.nextStreamId += 2;
    if (this.streams.size === 0) this.receivedBefore = this.receiver.bytes;
    const stream = this.newStream(id, handler);
    stream.tunnel = head.list.connect;
    stream.change("sendHeaders");
    this.streams.add(stream);
    this.sender.head(stream, head, end);
    stream.headEnd = this.sender.bytes;
    if (end) stream.change("sendEnd");
    if (this.nextStreamId > MAX_STREAM_ID) this.useUp("every stream identifier has been used");
    return stream;
  }

  /** Sends a PING; `done` is called when it is acknowledged, and never on a connection that ends before. */
  ping(done: () => void): void {
    if (this.phase !== "open") return;
    this.greeting.say();
    this.sender.ping(this.pings.add(this.services.clock.now(), done), 0, false);
  }

  /**
   * Ends the connection without losing a stream, RFC 9113 §6.8: a server first says a GOAWAY that still allows everything and,
   * once the peer has answered a PING and so has seen it, one with the last stream taken. Closes when the last stream ended.
   */
  shutdown(reason: string): void {
    if (this.phase !== "open" || this.goawaySent !== undefined) return;
    if (this.role === "client") {
      this.finalGoaway(0, reason);
      return;
    }
    this.greeting.say();
    this.goawaySent = MAX_STREAM_ID;
    this.sender.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR, reason);
    const second = (): void => {
      if (this.phase === "open" && this.goawaySent === MAX_STREAM_ID) this.finalGoaway(this.lastPeerStreamId, reason);
    };
    this.handshake.stop();
    this.timer = this.services.clock.setTimer(LINGER, second);
    this.ping(second);
  }

  private finalGoaway(lastStreamId: number, reason: string): void {
    this.timer?.cancel();
    this.goawaySent = lastStreamId;
    this.sender.goaway(lastStreamId, ErrorCode.NO_ERROR, reason);
    this.closeWhenIdle();
  }

  /** Ends the connection now. Streams are told that it is lost. */
  close(reason: string, code: ErrorCode = ErrorCode.NO_ERROR): void {
    this.leave(code, reason, { kind: "closed", reason });
  }

  /** Takes octets from the transport. They are the caller's again when it returns. */
  receive(chunk: Buffer): void {
    if (this.phase !== "open") this.intake.drop(chunk.length);
    else if (this.greeting.said || this.greeting.answer(chunk)) this.intake.take(chunk);
    else this.end({ kind: "violation", code: ErrorCode.PROTOCOL_ERROR, reason: `not HTTP/2: ${SPEAKS_HTTP1}` });
  }

  // --- what the intake asks ---

  readSome(chunk: Buffer): number {
    let read = chunk.length;
    try {
      read = this.receiver.read(chunk);
      if (this.sender.controlBacklog > this.limits.maxControlBacklog)
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read what it makes us write");
      // A client's heads are its callers' doing: it opens no more streams instead, see `available`.
      if (this.role === "server" && this.sender.backlog > this.limits.maxBacklog)
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read the answers that it asked for");
    } catch (error) {
      this.failed(error);
    }
    return this.phase === "open" ? read : chunk.length;
  }

  failed(error: unknown): void {
    if (error instanceof ConnectionError) {
      this.leave(error.code, error.message, { kind: "violation", code: error.code, reason: error.message });
    } else {
      this.handler.onFault(error);
      this.leave(ErrorCode.INTERNAL_ERROR, "internal error", { kind: "closed", reason: "internal error" });
    }
  }

  // --- what the receiver tells ---

  isIdle(id: number): boolean {
    return this.isOurs(id) ? id >= this.nextStreamId : id > this.lastPeerStreamId;
  }

  wasReset(id: number): boolean {
    return this.recentResets.has(id);
  }

  accept(id: number): Stream | undefined {
    if (this.isOurs(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `a client opened stream ${id}`);
    if (id <= this.lastPeerStreamId) {
      if (this.wasReset(id)) return undefined;
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${id}, which is closed`);
    }
    this.lastPeerStreamId = id;
    this.services.loop.countCall();
    const stream = this.newStream(id, NOBODY);
    stream.change("recvHeaders");
    stream.headSeen = true;
    this.streams.add(stream);
    return stream;
  }

  request(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    this.handler.onStream(stream, head, end, tooLarge);
  }

  violated(stream: Stream, code: ErrorCode, reason: string): void {
    stream.reset(code);
    stream.handler.onAbort({ kind: "violation", code, reason });
    if (stream.handler === NOBODY) this.handler.onMalformed?.(reason);
  }

  refuseClosed(id: number, code: ErrorCode): void {
    this.recentResets.add(id);
    this.sender.reset(id, code);
  }

  peerSettings(windowChange: number): void {
    this.sender.settingsAck();
    if (windowChange !== 0) {
      // RFC 9113 §6.9.2: a new initial window changes every stream's window by the difference.
      for (const stream of this.streams.values()) {
        if (!stream.send.increase(windowChange))
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE takes a window above 2^31-1");
        if (windowChange > 0 && stream.queued > 0) this.sender.wait(stream);
      }
      this.sender.pump();
    }
    this.handshake.settingsCame();
    this.handler.onCapacity();
  }

  settingsAcknowledged(): void {
    this.handshake.acknowledgementCame();
  }

  pingAcknowledged(payload: Buffer): boolean {
    return this.pings.acknowledged(payload);
  }

  peerReset(stream: Stream, code: ErrorCode): void {
    this.abort(stream, { kind: "reset", code });
  }

  peerGoaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    this.goawayReceived = true;
    for (const stream of this.streams.values()) {
      if (stream.id <= lastStreamId || !this.isOurs(stream.id)) continue;
      // The peer may refuse it as well.
      this.recentResets.add(stream.id);
      this.abort(stream, { kind: "unprocessed" });
    }
    this.handler.onGoaway(code, debug);
    this.closeWhenIdle();
  }

  // --- what the cancels ask ---

  get sidecar(): boolean {
    return this.receiver.peer.sidecar;
  }

  onWorn(): void {
    this.useUp("many of its streams were cancelled");
  }

  // --- what streams ask ---

  writeHead(stream: Stream, head: Head, end: boolean): void {
    this.sender.head(stream, head, end);
  }

  writeData(stream: Stream, buffer: Buffer, start: number, end: number, fin: boolean): number {
    return this.sender.data(stream, buffer, start, end, fin);
  }

  writeReset(stream: Stream, code: ErrorCode): void {
    if (this.role === "client") this.cancels.count(stream, this.services.loop.now());
    this.recentResets.add(stream.id);
    this.sender.reset(stream.id, code);
  }

  cancel(stream: Stream, code: ErrorCode): void {
    this.sender.forget(stream);
    if (this.role === "server") {
      stream.reset(code);
      return;
    }
    this.cancels.cancel(stream, code, this.services.loop.now());
    if (this.draining) this.closeWhenIdle();
  }

  wait(stream: Stream): void {
    this.sender.wait(stream);
  }

  unwait(stream: Stream): void {
    this.sender.forget(stream);
  }

  release(stream: Stream, octets: number): void {
    this.receiver.letGo(octets);
    this.receiver.creditStream(stream, octets);
  }

  drop(_stream: Stream, octets: number): void {
    this.receiver.letGo(octets);
  }

  keep(octets: number): void {
    this.burden?.keep(octets);
  }

  closed(stream: Stream): void {
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    this.receiver.forget(stream);
    if (this.role === "client") this.cancels.forget(stream);
    if (this.phase !== "open") return;
    if (this.draining) this.closeWhenIdle();
    this.handler.onCapacity();
  }

  // --- the rest ---

  private isOurs(id: number): boolean {
    return (id % 2 === 1) === (this.role === "client");
  }

  private newStream(id: number, handler: StreamHandler): Stream {
    const now = this.services.loop.now();
    const window = new RecvWindow(this.limits.streamWindow, this.limits.maxStreamWindow, now);
    return new Stream(id, this, handler, this.receiver.peer.initialWindow, window, now);
  }

  private useUp(reason: string): void {
    if (this.draining) return;
    this.usedUp = true;
    this.handler.onGoaway(ErrorCode.NO_ERROR, reason);
    this.closeWhenIdle();
  }

  /** Closes where nobody waits for a stream any more. Streams that are only to be reset need no reset then. */
  private closeWhenIdle(): void {
    if (this.streams.size > this.cancels.size || this.goawaySent === MAX_STREAM_ID) return;
    this.leave(ErrorCode.NO_ERROR, "", { kind: "closed", reason: "no stream is left" });
  }

  private abort(stream: Stream, abort: StreamAbort): void {
    stream.change("recvReset");
    stream.handler.onAbort(abort);
  }

  /** Says which stream was the last, unless the peer knows and all is well, and closes once it has had time to read it. */
  private leave(code: ErrorCode, reason: string, cause: CloseCause): void {
    if (this.phase !== "open") return;
    this.greeting.say();
    if (this.takesStreams || code !== ErrorCode.NO_ERROR)
      this.sender.goaway(Math.min(this.lastPeerStreamId, this.goawaySent ?? MAX_STREAM_ID), code, reason);
    this.end(cause);
  }

  private end(cause: CloseCause): void {
    this.sender.flush();
    this.finish(cause);
    this.transport.end();
    // Who leaves so much in its socket would not read why, and that is to go as well.
    const linger = cause.kind === "violation" && this.sender.isStuck ? 0 : LINGER;
    const timer = this.services.clock.setTimer(linger, () => this.transport.destroy());
    this.transport.once("close", () => timer.cancel());
  }

  private lost(reason: string): void {
    if (this.phase !== "open") return;
    this.transport.destroy();
    const quiet = this.streams.size === 0 || this.receivedBefore === this.receiver.bytes;
    const idle = quiet && !this.draining ? this.services.loop.now() - this.heardAt : undefined;
    this.finish({ kind: "lost", reason, idle });
  }

  private finish(cause: CloseCause): void {
    this.phase = "closed";
    this.timer?.cancel();
    this.handshake.stop();
    this.greeting.stop();
    this.receiver.stop();
    this.intake.stop(cause.kind === "closed");
    // A peer that did not answer in time may be slow or away: that is no broken rule for those who use its streams.
    const broken = cause.kind === "violation" && cause.code !== ErrorCode.SETTINGS_TIMEOUT;
    const { reason } = cause;
    const lost: StreamAbort = { kind: broken ? "broken" : "lost", reason };
    const { handedOver } = this.sender;
    for (const stream of this.streams.values())
      this.abort(stream, stream.headEnd > handedOver ? { kind: "unsent", reason } : lost);
    this.cancels.stop();
    this.sender.stop();
    this.burden?.stop();
    this.handler.onClose(cause);
  }
}
