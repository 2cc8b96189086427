import { Copy } from "../core/copies.ts";
import type { Pace, Paced } from "../core/pace.ts";
import type { Head } from "../http/headers.ts";
import type { ErrorCode } from "./errors.ts";
import { type StreamEvent, type StreamState, transition } from "./stream-state.ts";
import { type RecvWindow, SendWindow } from "./window.ts";

/** Why a stream ended before both of its halves had. */
export type StreamAbort =
  /** The peer sent RST_STREAM. */
  | { readonly kind: "reset"; readonly code: ErrorCode }
  /** The peer's GOAWAY says that it has not looked at this stream (RFC 9113 §6.8). */
  | { readonly kind: "unprocessed" }
  /** The connection is gone. */
  | { readonly kind: "lost"; readonly reason: string }
  /** The connection is gone, and the end of the stream's head had not left: the peer cannot have looked at it. */
  | { readonly kind: "unsent"; readonly reason: string }
  /** The connection is gone because the peer broke its rules. */
  | { readonly kind: "broken"; readonly reason: string }
  /** The peer broke the rules on this stream; it has been reset with `code`. */
  | { readonly kind: "violation"; readonly code: ErrorCode; readonly reason: string };

/**
 * Who listens to a stream. Buffers are valid during the call only.
 *
 * Order: informational heads, head, data, and then either the end (`fin`, `end` or trailers) or `onAbort`. Every octet
 * that `onData` brings is owed back with `Stream.release` once it has been dealt with: that is the backpressure.
 */
export interface StreamHandler {
  /** Client only: a 1xx head. */
  onInformational(head: Head): void;
  /** Client only: the response's head. */
  onHead(head: Head, end: boolean): void;
  onData(buffer: Buffer, start: number, end: number, fin: boolean): void;
  onTrailers(head: Head): void;
  /** Octets that `sendData` could not take at once have been written now. */
  onSent(octets: number): void;
  onAbort(abort: StreamAbort): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  writeHead(stream: Stream, head: Head, end: boolean): void;
  /** Writes as much as windows and transport allow, and END_STREAM after the last octet where `fin`; returns how much. */
  writeData(stream: Stream, buffer: Buffer, start: number, end: number, fin: boolean): number;
  writeReset(stream: Stream, code: ErrorCode): void;
  /** Nobody wants the stream any more: resets it, now or when it may. */
  cancel(stream: Stream, code: ErrorCode): void;
  /** The stream has octets queued and wants to be asked again when there is room. */
  wait(stream: Stream): void;
  /** It has none any more. */
  unwait(stream: Stream): void;
  release(stream: Stream, octets: number): void;
  /** So many octets more wait in the stream for room, or fewer. */
  keep(octets: number): void;
  /** Octets that were received are held by nobody, and the peer is to send no more of them. */
  drop(stream: Stream, octets: number): void;
  closed(stream: Stream): void;
}

/**
 * One stream of a connection.
 *
 * Invariants:
 * - `state` changes through `change` only, and `host.closed` is called exactly once, on entering "closed";
 * - octets received are either in `unreleased` or have been given back to both windows;
 * - while `queue` is not empty nothing is written around it, so order holds; `end` follows the last queued octet;
 * - while `queue` is not empty the stream waits at its host, for room, or at its pace, for its turn: while `awaitsTurn` only there.
 */
export class Stream implements Paced {
  readonly id: number;
  /** Milliseconds of the clock. */
  readonly openedAt: number;
  state: StreamState = "idle";
  handler: StreamHandler;
  /** Where the head that opened the stream ends among the octets that its connection has sent; 0 where the peer opened it. */
  headEnd = 0;
  private readonly host: StreamHost;

  // --- receiving, owned by the connection's read side ---
  readonly recv: RecvWindow;
  unreleased = 0;
  /** The peer's (final) head is in. */
  headSeen = false;
  /** What content-length still promises, or -1 (RFC 9113 §8.1.1). */
  expected = -1;
  /** It was opened by CONNECT, and no answer has said that it is no tunnel. */
  tunnel = false;
  /** Interim (1xx) heads that came. */
  interim = 0;

  // --- sending ---
  readonly send: SendWindow;
  private queue: Copy[] = [];
  private queueOffset = 0;
  queued = 0;
  private end:
    | { readonly kind: "none" }
    | { readonly kind: "data" }
    | { readonly kind: "trailers"; readonly head: Head }
    | { readonly kind: "cancelled" } = NO_END;
  private resetAfter: ErrorCode | undefined = undefined;
  /** What its octets have to wait for, beside windows; undefined: nothing. */
  pace: Pace | undefined = undefined;
  /** Octets that its turn lets it send; undefined: it is not its turn. */
  private turn: number | undefined = undefined;
  /** It waits at its pace, and there is no use in asking it before. */
  private awaitsTurn = false;

  // --- its place among the streams that wait for room, owned by WaitingStreams ---
  isWaiting = false;
  waitsAfter: Stream | undefined = undefined;
  waitsBefore: Stream | undefined = undefined;

  constructor(id: number, host: StreamHost, handler: StreamHandler, send: number, recv: RecvWindow, now: number) {
    this.id = id;
    this.openedAt = now;
    this.host = host;
    this.handler = handler;
    this.send = new SendWindow(send);
    this.recv = recv;
  }

  get canSend(): boolean {
    return (this.state === "open" || this.state === "halfClosedRemote") && this.end === NO_END;
  }

  get canReceive(): boolean {
    return this.state === "open" || this.state === "halfClosedLocal";
  }

  /** Sends a head: a request's, a response's, or a 1xx one. Ignored once the stream can no longer send. */
  sendHead(head: Head, end: boolean): void {
    if (!this.canSend) return;
    this.host.writeHead(this, head, end);
    if (end) this.change("sendEnd");
  }

  /**
   * Sends octets, and END_STREAM after them where `fin`. Returns how many were taken at once; the rest has been copied and
   * is reported by `onSent` as it goes. A stream that can no longer send takes everything and drops it.
   */
  sendData(buffer: Buffer, start: number, end: number, fin: boolean): number {
    // An empty frame says nothing, and whoever sends several is taken for an attacker.
    if (!this.canSend || (start === end && !fin)) return end - start;
    let taken = 0;
    if (this.queued === 0) {
      taken =
        this.pace === undefined
          ? this.host.writeData(this, buffer, start, end, fin)
          : this.writePaced(this.pace, buffer, start, end, fin);
      if (start + taken === end) {
        if (fin) this.change("sendEnd");
        return taken;
      }
    }
    if (end - start - taken > 0) {
      Copy.push(this.queue, buffer, start + taken, end);
      this.queued += end - start - taken;
      this.host.keep(end - start - taken);
    }
    if (fin) this.end = DATA_END;
    if (!this.awaitsTurn) this.host.wait(this);
    return taken;
  }

  /** As `writeData`, of what the pace lets it send. What it does not is waited for there. */
  private writePaced(pace: Pace, buffer: Buffer, start: number, end: number, fin: boolean): number {
    const wanted = end - start;
    if (wanted === 0) return this.host.writeData(this, buffer, start, end, fin);
    const may = this.turn === undefined ? pace.take(wanted) : Math.min(this.turn, wanted);
    const taken = may === 0 ? 0 : this.host.writeData(this, buffer, start, start + may, fin && may === wanted);
    if (this.turn !== undefined) this.turn -= taken;
    else if (taken < may) pace.giveBack(may - taken);
    if (taken === may && may < wanted) this.awaitTurn(pace);
    return taken;
  }

  private awaitTurn(pace: Pace): void {
    this.awaitsTurn = true;
    pace.wait(this);
  }

  sendPaced(octets: number): number {
    this.turn = octets;
    this.awaitsTurn = false;
    this.drain(octets);
    const sent = octets - this.turn;
    this.turn = undefined;
    if (this.queued === 0) this.host.unwait(this);
    else if (sent < octets) this.host.wait(this);
    else if (this.pace !== undefined) this.awaitTurn(this.pace);
    return sent;
  }

  /** What its pace holds back is not sent any more. */
  dropPaced(): void {
    if (this.pace !== undefined) this.dropQueue();
  }

  /** Ends the stream with trailers, after whatever is queued. */
  sendTrailers(head: Head): void {
    if (!this.canSend) return;
    if (this.queued > 0) {
      this.end = { kind: "trailers", head };
      return;
    }
    this.host.writeHead(this, head, true);
    this.change("sendEnd");
  }

  /** Resets the stream at once; what is queued is dropped. Nothing is reported to the handler. */
  reset(code: ErrorCode): void {
    if (this.state === "closed" || this.state === "idle") return;
    this.host.writeReset(this, code);
    this.change("sendReset");
  }

  /**
   * Nobody wants the stream any more: what is queued and what still comes is dropped, nothing is reported to the handler. The
   * reset may have to wait, for a server that counts them; see `Cancels`.
   */
  cancel(code: ErrorCode): void {
    if (this.state === "closed" || this.state === "idle" || this.end === CANCELLED) return;
    this.end = CANCELLED;
    this.handler = new Dropping(this);
    this.dropQueue();
    this.host.cancel(this, code);
  }

  /** Resets the stream once everything that was sent has left, for a peer that still sends what nobody will read. */
  resetWhenSent(code: ErrorCode): void {
    if (this.queued === 0) this.reset(code);
    else this.resetAfter = code;
  }

  /** Gives back octets that `onData` brought: the peer may send that many more. */
  release(octets: number): void {
    if (this.state === "closed" || octets === 0) return;
    this.unreleased -= octets;
    this.host.release(this, octets);
  }

  /** The octets that `onData` brought are held by nobody, and no more of them are wanted. */
  drop(octets: number): void {
    if (this.state === "closed" || octets === 0) return;
    this.unreleased -= octets;
    this.host.drop(this, octets);
  }

  /**
   * Writes up to `quantum` queued octets. Returns "done" when nothing is queued, "stuck" when a window or the transport is, and
   * "paced" when its pace has it wait for its turn.
   */
  drain(quantum: number): "done" | "more" | "stuck" | "paced" {
    if (this.awaitsTurn) return "paced";
    let left = quantum;
    let sent = 0;
    while (this.queued > 0 && left > 0) {
      const copy = this.queue[0];
      if (copy === undefined) break;
      const to = Math.min(copy.length, this.queueOffset + left);
      const fin = this.end === DATA_END && this.queue.length === 1 && to === copy.length;
      const taken =
        this.pace === undefined
          ? this.host.writeData(this, copy.buffer, this.queueOffset, to, fin)
          : this.writePaced(this.pace, copy.buffer, this.queueOffset, to, fin);
      if (taken === 0) break;
      this.queued -= taken;
      sent += taken;
      left -= taken;
      this.queueOffset += taken;
      if (this.queueOffset === copy.length) {
        this.queue.shift();
        copy.free();
        this.queueOffset = 0;
      }
      if (fin && this.queued === 0) this.change("sendEnd");
    }
    if (sent > 0) this.host.keep(-sent);
    const result = this.queued === 0 ? "done" : this.awaitsTurn ? "paced" : sent > 0 ? "more" : "stuck";
    if (result === "done") this.finish();
    if (sent > 0) this.handler.onSent(sent);
    return result;
  }

  private finish(): void {
    if (this.end.kind === "trailers" && this.state !== "closed") {
      this.host.writeHead(this, this.end.head, true);
      this.change("sendEnd");
    }
    if (this.resetAfter !== undefined) this.reset(this.resetAfter);
  }

  private dropQueue(): void {
    if (this.queued === 0) return;
    this.pace?.leave(this);
    this.awaitsTurn = false;
    this.queueOffset = 0;
    for (const copy of this.queue) copy.free();
    this.queue = [];
    this.host.keep(-this.queued);
    this.queued = 0;
  }

  /** Applies an event of the state diagram. False where it may not happen now: the peer's fault if it caused it. */
  change(event: StreamEvent): boolean {
    const next = transition(this.state, event);
    if (next === undefined) return false;
    const before = this.state;
    this.state = next;
    if (next === "closed" && before !== "closed") {
      this.dropQueue();
      this.host.closed(this);
    }
    return true;
  }
}

const NO_END = { kind: "none" } as const;
const DATA_END = { kind: "data" } as const;
const CANCELLED = { kind: "cancelled" } as const;

/** Listens to a cancelled stream that waits for its reset. */
class Dropping implements StreamHandler {
  private readonly stream: Stream;

  constructor(stream: Stream) {
    this.stream = stream;
  }

  onInformational(): void {}
  onHead(): void {}
  onTrailers(): void {}
  onSent(): void {}
  onAbort(): void {}

  onData(_buffer: Buffer, start: number, end: number): void {
    this.stream.drop(end - start);
  }
}

/** Holds a new stream until its connection's handler has given it one. */
export const NOBODY: StreamHandler = {
  onInformational() {},
  onHead() {},
  onData() {},
  onTrailers() {},
  onSent() {},
  onAbort() {},
};
