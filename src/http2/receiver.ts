import type { Head, HeaderTable } from "../http/headers.ts";
import { Budgets } from "./budgets.ts";
import { ConnectionError, ErrorCode } from "./errors.ts";
import { contentLength, fieldsFault, isInformational } from "./fields.ts";
import type { FlushLoop } from "./flush-loop.ts";
import { CLIENT_PREFACE, DEFAULT_WINDOW, MAX_WINDOW } from "./frame.ts";
import { FrameDecoder, type FrameSink } from "./frame-decoder.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { SPEAKS_HTTP1, speaksHttp1 } from "./http1.ts";
import type { Http2Limits } from "./limits.ts";
import type { Sender } from "./sender.ts";
import { applySettings, defaultPeerSettings, type PeerSettings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";
import { RecvWindow } from "./window.ts";

/** Which end of a connection this is. */
export type Role = "client" | "server";

/** What the read side needs of its connection. Methods that say so throw ConnectionError. */
export interface ReceiverHost {
  readonly role: Role;
  readonly streams: Pick<StreamTable<Stream>, "get" | "size">;
  /** A stream that neither side has opened yet (RFC 9113 §5.1). */
  isIdle(id: number): boolean;
  /** We ended the stream lately: what the peer sent before it knew is ignored (RFC 9113 §5.4.2). */
  wasReset(id: number): boolean;
  /** A request on a new stream. Undefined where it is too late for one. Throws for an identifier that may not be opened. */
  accept(id: number): Stream | undefined;
  request(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void;
  /** The peer broke a rule on one stream. */
  violated(stream: Stream, code: ErrorCode, reason: string): void;
  /** A frame came on a stream that is over. */
  refuseClosed(id: number, code: ErrorCode): void;
  peerSettings(windowChange: number): void;
  settingsAcknowledged(): void;
  /** Whether a PING with that payload was sent. */
  pingAcknowledged(payload: Buffer): boolean;
  peerReset(stream: Stream, code: ErrorCode): void;
  peerGoaway(lastStreamId: number, code: ErrorCode, debug: string): void;
}

/** See `ConnectionOptions`. */
export interface ReceiverOptions {
  readonly limits: Http2Limits;
  readonly extendedConnect?: boolean | undefined;
}

/**
 * The read side of a connection: what each frame means for streams, windows and settings.
 *
 * Invariants:
 * - every octet of DATA received is credited to the connection's window exactly once: at once while all streams together hold
 *   no more than `maxUnread`, so that streams nobody reads keep no other waiting, else when it is let go;
 * - `held` is the sum of `unreleased` of all streams, `withheld` what of it the connection's window has not got back;
 * - `growth` is what the windows of all streams have over their first size.
 */
export class Receiver implements FrameSink {
  private readonly host: ReceiverHost;
  private readonly sender: Sender;
  private readonly loop: FlushLoop;
  private readonly limits: Http2Limits;
  private readonly extendedConnect: boolean;
  private readonly oversize: string;
  private readonly decoder: FrameDecoder;
  private readonly hpack: HpackDecoder;
  private readonly budgets: Budgets;
  readonly window: RecvWindow;
  readonly peer: PeerSettings = defaultPeerSettings();
  bytes = 0;
  /** Milliseconds of the clock when octets came last. */
  heardAt: number;
  private prefaceLeft: number;
  /** The stream of the DATA frame that is being read; undefined where its octets are dropped. */
  private dataStream: Stream | undefined = undefined;
  private dataEnds = false;
  private held = 0;
  private withheld = 0;
  private growth = 0;
  /** Our SETTINGS have been acknowledged. */
  private acknowledged = false;
  /** What a stream's window allows beyond itself until the peer knows that it is smaller than the default (RFC 9113 §6.9.3). */
  private slack: number;
  /** How many DATA frames had been sent to the peer when its last PING came, and how many of its WINDOW_UPDATEs came. */
  private sentAtPing = 0;
  private windowUpdates = 0;
  /** The turn of the loop in which this connection was asked last whether it takes too long, and since when it is read in it. */
  private turn = -1;
  private turnBegan = 0;

  constructor(
    host: ReceiverHost,
    sender: Sender,
    { limits, extendedConnect = false }: ReceiverOptions,
    loop: FlushLoop,
    headers: HeaderTable,
  ) {
    this.host = host;
    this.extendedConnect = extendedConnect;
    this.sender = sender;
    this.loop = loop;
    this.heardAt = loop.now();
    this.limits = limits;
    this.slack = Math.max(0, DEFAULT_WINDOW - limits.streamWindow);
    this.oversize = `a header list over ${limits.maxHeaderListSize} octets or ${limits.maxHeaderFields} fields`;
    this.prefaceLeft = host.role === "server" ? CLIENT_PREFACE.length : 0;
    this.budgets = new Budgets(limits.budgets);
    // SETTINGS cannot make a connection's window smaller than it is at first (RFC 9113 §6.9.2).
    const window = Math.max(DEFAULT_WINDOW, limits.connectionWindow);
    this.window = new RecvWindow(window, Math.max(window, limits.maxConnectionWindow), loop.now());
    this.hpack = new HpackDecoder(headers, {
      maxTableSize: limits.headerTableSize,
      maxListSize: limits.maxHeaderListSize,
      maxFields: limits.maxHeaderFields,
    });
    this.decoder = new FrameDecoder(this, {
      // A block is rarely longer than its list; twice the list leaves room for an encoder that wastes some.
      maxBlockSize: limits.maxHeaderListSize * 2,
      maxContinuations: limits.maxContinuations,
    });
  }

  /** Nothing of any stream is held, and the peer has the connection's whole window again. For tests of leaks. */
  get atRest(): boolean {
    return this.held === 0 && this.withheld === 0 && this.growth === 0 && this.window.whole;
  }

  /** Octets that came and that nobody has taken yet. */
  get unread(): number {
    return this.held;
  }

  /** Reads no further, not even what is left of the chunk at hand. */
  stop(): void {
    this.decoder.stop();
  }

  /** Which frame or header block has begun and is not complete; 0: none. */
  get unfinished(): number {
    return this.decoder.unfinished;
  }

  /** Others have been read meanwhile. */
  beginTurn(): void {
    this.turn = this.loop.turn;
    this.turnBegan = this.loop.exactly();
  }

  /**
   * Reads octets from the transport, the client's preface first (RFC 9113 §3.4). Throws ConnectionError. Gives how many it has
   * read before it was others' turn.
   */
  read(chunk: Buffer): number {
    // Whoever hears of a frame may ask whether anything has come.
    this.bytes += chunk.length;
    this.heardAt = this.loop.now();
    const read = this.prefaceLeft === 0 ? this.decoder.push(chunk) : this.begin(chunk);
    this.bytes -= chunk.length - read;
    return read;
  }

  private begin(chunk: Buffer): number {
    const size = Math.min(this.prefaceLeft, chunk.length);
    const from = CLIENT_PREFACE.length - this.prefaceLeft;
    if (chunk.compare(CLIENT_PREFACE, from, from + size, 0, size) !== 0)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `not HTTP/2: ${firstWords(chunk)}`);
    this.prefaceLeft -= size;
    return size < chunk.length ? size + this.decoder.push(chunk.subarray(size)) : size;
  }

  /**
   * A client may keep us busy for so long a turn. A server is not interrupted: what one connection to an upstream brings is
   * meant for many callers.
   */
  weary(): boolean {
    if (this.host.role === "client") return false;
    if (this.turn !== this.loop.turn) {
      this.beginTurn();
      return false;
    }
    return this.loop.exactly() - this.turnBegan >= this.loop.quantum && this.loop.mayKeep;
  }

  // --- header sections ---

  onHeaders(id: number, buffer: Buffer, start: number, end: number, endStream: boolean, dependsOn: number): void {
    // The block is decoded whatever becomes of it: its state belongs to the connection (RFC 9113 §4.3).
    const head = this.hpack.decode(buffer, start, end);
    const tooLarge = this.hpack.tooLarge;
    const known = this.host.streams.get(id);
    const stream = known ?? this.newStream(id);
    if (stream === undefined) return;
    if (dependsOn === id) this.violation(stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
    else if (known === undefined) this.request(stream, head, endStream, tooLarge);
    else if (!stream.canReceive) this.violation(stream, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream");
    else if (tooLarge) this.violation(stream, ErrorCode.ENHANCE_YOUR_CALM, this.oversize);
    else if (stream.headSeen) this.trailers(stream, head, endStream);
    else this.response(stream, head, endStream);
  }

  private newStream(id: number): Stream | undefined {
    if (this.host.role === "server") return this.host.accept(id);
    if (this.host.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `HEADERS on idle stream ${id}`);
    // The answer to a stream that we gave up may have been on its way.
    if (!this.host.wasReset(id)) this.spend("streamErrors");
    return undefined;
  }

  private request(stream: Stream, head: Head, endStream: boolean, tooLarge: boolean): void {
    if (this.host.streams.size > this.limits.maxConcurrentStreams) {
      this.spend("refused");
      stream.reset(ErrorCode.REFUSED_STREAM);
      return;
    }
    const fault = tooLarge
      ? undefined
      : (fieldsFault(head, "request") ??
        (head.list.extended && !this.extendedConnect ? UNASKED : undefined) ??
        lengthFault(stream, head, endStream));
    if (fault !== undefined) {
      this.violation(stream, ErrorCode.PROTOCOL_ERROR, fault);
      return;
    }
    stream.tunnel = head.list.connect;
    if (endStream) stream.change("recvEnd");
    this.host.request(stream, head, endStream, tooLarge);
  }

  private response(stream: Stream, head: Head, endStream: boolean): void {
    const informational = isInformational(head);
    // RFC 9113 §8.1: an interim response does not end its stream. A HEAD or 304 answer announces a length that no DATA
    // follows, so a response that ends at once is not held to it. Of a CONNECT that succeeds a client "MUST ignore" it (RFC 9110
    // §9.3.6).
    if (stream.tunnel && !informational) stream.tunnel = head.get(":status")?.startsWith("2") === true;
    const fault =
      fieldsFault(head, "response") ??
      (informational && endStream ? "an interim response that ends its stream" : undefined) ??
      (informational && ++stream.interim > this.limits.maxInterim ? "too many interim responses" : undefined) ??
      (informational || endStream || stream.tunnel ? undefined : lengthFault(stream, head, endStream));
    if (fault !== undefined) {
      this.violation(stream, ErrorCode.PROTOCOL_ERROR, fault);
      return;
    }
    if (informational) {
      stream.handler.onInformational(head);
      return;
    }
    stream.headSeen = true;
    if (endStream) stream.change("recvEnd");
    stream.handler.onHead(head, endStream);
  }

  private trailers(stream: Stream, head: Head, endStream: boolean): void {
    // RFC 9113 §8.1: a second header section is the trailers, which end the stream.
    const fault =
      (endStream ? undefined : "trailers without END_STREAM") ??
      // RFC 9113 §8.5: other frames than DATA on a stream that is a tunnel "MUST be treated as a stream error".
      (stream.tunnel ? "HEADERS in a tunnel" : undefined) ??
      fieldsFault(head, "trailers") ??
      (stream.expected > 0 ? "fewer octets than content-length says" : undefined);
    if (fault !== undefined) {
      this.violation(stream, ErrorCode.PROTOCOL_ERROR, fault);
      return;
    }
    stream.change("recvEnd");
    stream.handler.onTrailers(head);
  }

  // --- DATA, RFC 9113 §6.1 and §6.9 ---

  onDataFrame(id: number, length: number, endStream: boolean): void {
    if (!this.window.receive(length))
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window allows");
    // Of a stream that is over as well: such frames are as cheap to send, and no window holds them up.
    if (length === 0 && !endStream) this.spend("emptyData");
    this.dataEnds = endStream;
    this.dataStream = undefined;
    const stream = this.host.streams.get(id);
    if (stream === undefined) {
      if (this.host.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `DATA on idle stream ${id}`);
      this.onClosedStream(id);
    } else if (!stream.canReceive) {
      this.violation(stream, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream");
    } else if (!stream.headSeen) {
      this.violation(stream, ErrorCode.PROTOCOL_ERROR, "DATA before the head");
    } else if (!stream.recv.receive(length, this.slack)) {
      this.violation(stream, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window allows");
    } else {
      this.dataStream = stream;
    }
  }

  onPadding(octets: number): void {
    this.credit(octets);
    if (this.dataStream !== undefined) this.creditStream(this.dataStream, octets);
  }

  onData(buffer: Buffer, start: number, end: number, last: boolean): void {
    const stream = this.dataStream;
    const octets = end - start;
    if (stream === undefined || stream.state === "closed") {
      this.credit(octets);
      return;
    }
    const fin = last && this.dataEnds;
    stream.unreleased += octets;
    this.hold(octets);
    if (stream.expected >= 0) {
      stream.expected -= octets;
      if (stream.expected < 0 || (fin && stream.expected > 0)) {
        this.violation(stream, ErrorCode.PROTOCOL_ERROR, "other octets than content-length says");
        return;
      }
    }
    if (fin) stream.change("recvEnd");
    stream.handler.onData(buffer, start, end, fin);
  }

  private hold(octets: number): void {
    this.held += octets;
    const over = this.held - this.limits.maxUnread;
    const kept = over <= 0 ? 0 : Math.min(octets, over);
    this.withheld += kept;
    if (octets > kept) this.credit(octets - kept);
  }

  /** Octets of a stream that nobody holds any more. */
  letGo(octets: number): void {
    this.held -= octets;
    if (this.withheld === 0) return;
    const back = Math.min(octets, this.withheld);
    this.withheld -= back;
    this.credit(back);
  }

  /** The stream is over. */
  forget(stream: Stream): void {
    if (stream.unreleased > 0) this.letGo(stream.unreleased);
    stream.unreleased = 0;
    this.growth -= stream.recv.size - this.limits.streamWindow;
  }

  private credit(octets: number): void {
    const increment = this.window.release(octets, this.loop.now());
    if (increment > 0) this.sender.windowUpdate(0, increment);
  }

  /** Octets of a stream's window that its reader has taken. */
  creditStream(stream: Stream, octets: number): void {
    if (!stream.canReceive) return;
    const { recv } = stream;
    const before = recv.size;
    const increment = recv.release(octets, this.loop.now(), this.limits.windowGrowth - this.growth);
    this.growth += recv.size - before;
    if (increment > 0) this.sender.windowUpdate(stream.id, increment);
  }

  // --- the other frames ---

  onPriority(id: number, dependsOn: number): void {
    this.spend("priorities");
    if (dependsOn === id) this.onStreamError(id, ErrorCode.PROTOCOL_ERROR, `stream ${id} depends on itself`);
  }

  onReset(id: number, code: ErrorCode): void {
    if (this.host.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `RST_STREAM on idle stream ${id}`);
    const stream = this.host.streams.get(id);
    // A client's resets are what makes it look like an attacker; a server's end what the client asked for.
    if (stream === undefined || this.host.role === "server") this.spend("resets");
    if (stream !== undefined) this.host.peerReset(stream, code);
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.spend("settings");
    const before = this.peer.initialWindow;
    applySettings(this.peer, buffer, start, end, this.host.role === "client", this.sender);
    // Whatever a server allows: `maxUnread` is what so many streams can hold, so that those nobody reads starve no other.
    this.peer.maxConcurrentStreams = Math.min(this.peer.maxConcurrentStreams, this.limits.maxConcurrentStreams);
    this.host.peerSettings(this.peer.initialWindow - before);
  }

  onSettingsAck(): void {
    // We send SETTINGS once.
    if (this.acknowledged) this.spend("settings");
    this.acknowledged = true;
    this.slack = 0;
    this.hpack.settingsAcknowledged();
    this.host.settingsAcknowledged();
  }

  onPing(buffer: Buffer, start: number, ack: boolean): void {
    if (ack) {
      if (!this.host.pingAcknowledged(buffer.subarray(start, start + 8))) this.spend("pings");
      return;
    }
    // A peer that estimates its bandwidth sends a PING for the DATA that it got: one that follows DATA of ours is free.
    if (this.sender.dataFrames === this.sentAtPing) this.spend("pings");
    this.sentAtPing = this.sender.dataFrames;
    this.sender.ping(buffer, start, true);
  }

  onGoaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    this.spend("goaways");
    this.host.peerGoaway(lastStreamId, code, debug);
  }

  onWindowUpdate(id: number, increment: number): void {
    // A reader may credit each frame that it got, on its stream and on the connection.
    if (++this.windowUpdates > 2 * this.sender.dataFrames) this.spend("windowUpdates");
    // RFC 9113 §6.9: an increment of 0 is an error, of the connection on stream 0.
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      if (!this.sender.window.increase(increment))
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `the connection's window went above ${MAX_WINDOW}`);
      this.sender.pump();
      return;
    }
    const stream = this.host.streams.get(id);
    if (stream === undefined) {
      if (this.host.isIdle(id))
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `WINDOW_UPDATE on idle stream ${id}`);
    } else if (increment === 0) {
      this.violation(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    } else if (!stream.send.increase(increment)) {
      this.violation(stream, ErrorCode.FLOW_CONTROL_ERROR, `the stream's window went above ${MAX_WINDOW}`);
    } else if (stream.queued > 0) {
      this.sender.wait(stream);
      this.sender.pump();
    }
  }

  onUnknown(): void {
    this.spend("unknownFrames");
  }

  onStreamError(id: number, code: ErrorCode, reason: string): void {
    const stream = this.host.streams.get(id);
    if (stream !== undefined) this.violation(stream, code, reason);
    else if (this.host.isIdle(id)) throw new ConnectionError(code, reason);
    else this.onClosedStream(id, code);
  }

  private violation(stream: Stream, code: ErrorCode, reason: string): void {
    this.spend("streamErrors");
    this.host.violated(stream, code, reason);
  }

  /** A frame on a stream that is over: ignored where we ended it, else the peer is told (RFC 9113 §5.1). */
  private onClosedStream(id: number, code: ErrorCode = ErrorCode.STREAM_CLOSED): void {
    if (this.host.role === "client" || this.host.wasReset(id)) return;
    this.spend("streamErrors");
    this.host.refuseClosed(id, code);
  }

  private spend(name: Parameters<Budgets["spend"]>[0]): void {
    this.budgets.spend(name, this.loop.now());
  }
}

/** RFC 8441 §4: a peer "would detect a malformed request and generate a stream error". */
const UNASKED = "pseudo-header :protocol in a request, without ENABLE_CONNECT_PROTOCOL";

/** What a peer that does not begin with the preface seems to speak, so that whoever set it up knows what to change. */
function firstWords(chunk: Buffer): string {
  if (chunk[0] === 0x16 && chunk[1] === 0x03) return "these octets are TLS, and this port speaks plaintext";
  return speaksHttp1(chunk) ? SPEAKS_HTTP1 : "the connection preface is missing";
}

/** Notes what content-length promises; what is wrong with it, or undefined (RFC 9113 §8.1.1). */
function lengthFault(stream: Stream, head: Head, endStream: boolean): string | undefined {
  const length = contentLength(head);
  if (length === undefined) return undefined;
  if (length < 0) return "a content-length that is not a number";
  stream.expected = length;
  return endStream && length > 0 ? "fewer octets than content-length says" : undefined;
}
