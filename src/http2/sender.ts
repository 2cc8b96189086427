import type { Duplex } from "node:stream";
import type { Head } from "../http/headers.ts";
import type { ErrorCode } from "./errors.ts";
import type { Flushable, FlushLoop } from "./flush-loop.ts";
import { CLIENT_PREFACE, DEFAULT_MAX_FRAME_SIZE, FRAME_HEADER_SIZE } from "./frame.ts";
import * as frames from "./frame-encoder.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import { type BufferReuse, Output } from "./output.ts";
import type { Stream } from "./stream.ts";
import { WaitingStreams } from "./waiting-streams.ts";
import { SendWindow } from "./window.ts";

/** Octets in a transport's queue from which on no more DATA is written to it. */
const CONGESTED = 262_144;
/** Octets collected in a turn that are worth a flush before its end. */
const FLUSH_AT = 131_072;
/** Octets of one stream before it is another stream's turn. */
const QUANTUM = DEFAULT_MAX_FRAME_SIZE;

/**
 * The write side of a connection: frames into the output, streams that wait for room, one flush a turn.
 *
 * Invariants: a stream is in `waiting` only while it has octets queued; control frames and heads never wait for a window, so
 * what is queued of them is bounded by whoever causes them (`controlBacklog`, `backlog`); nothing is written after `stop`.
 */
export class Sender implements Flushable {
  private readonly output: Output;
  private readonly loop: FlushLoop;
  private readonly encoder = new HpackEncoder();
  private readonly waiting = new WaitingStreams();
  readonly window = new SendWindow();
  /** DATA frames written so far. */
  dataFrames = 0;
  private marked = false;
  private stopped = false;
  /** Octets of control frames, before and since the place `controlMark` in the output. */
  private controlBefore = 0;
  private controlSince = 0;
  private controlMark = 0;

  /** `onHeld`: so many octets more wait in the transport, or fewer. */
  constructor(transport: Duplex, reuse: BufferReuse, loop: FlushLoop, onHeld: (octets: number) => void) {
    this.loop = loop;
    this.output = new Output(transport, reuse, () => this.pump(), onHeld);
  }

  /** Octets, of those that `bytes` counts, that may have left. */
  get handedOver(): number {
    return this.output.handedOver;
  }

  /** Octets given to the transport or about to be. */
  get bytes(): number {
    return this.output.written + this.output.unflushed;
  }

  /** Octets that the transport has not got rid of. */
  get backlog(): number {
    return this.output.inFlight + this.output.unflushed;
  }

  /** Whether the peer has read nothing for so long that it would not read why its connection ends. */
  get isStuck(): boolean {
    return this.output.inFlight >= CONGESTED;
  }

  /**
   * Octets at most that wait in the transport and that the peer made us write: acknowledgements, credit, resets. They are
   * counted in two spans of the output, each of which is forgotten once the transport has got rid of it.
   */
  get controlBacklog(): number {
    const { bytes } = this;
    const gone = bytes - this.backlog;
    if (gone === bytes) {
      this.controlBefore = 0;
      this.controlSince = 0;
    }
    if (gone >= this.controlMark) {
      this.controlBefore = this.controlSince;
      this.controlSince = 0;
      this.controlMark = bytes;
    }
    return this.controlBefore + this.controlSince;
  }

  /** Streams that wait for room, for tests and for people. */
  get waitingStreams(): number {
    return this.waiting.size;
  }

  preface(): void {
    this.raw(CLIENT_PREFACE);
  }

  /** Octets that are no frame. */
  raw(octets: Buffer): void {
    const buffer = this.output.reserve(octets.length);
    const at = this.output.position;
    octets.copy(buffer, at);
    this.output.advance(at + octets.length);
    this.mark();
  }

  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    frames.writeSettings(this.output, settings);
    this.mark();
  }

  settingsAck(): void {
    frames.writeSettingsAck(this.output);
    this.controlSince += FRAME_HEADER_SIZE;
    this.mark();
  }

  setHeaderTableSize(octets: number): void {
    this.encoder.setMaxTableSize(octets);
  }

  ping(source: Buffer, start: number, ack: boolean): void {
    frames.writePing(this.output, source, start, ack);
    this.controlSince += FRAME_HEADER_SIZE + 8;
    this.mark();
  }

  goaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    frames.writeGoaway(this.output, lastStreamId, code, debug);
    this.mark();
  }

  reset(streamId: number, code: ErrorCode): void {
    frames.writeReset(this.output, streamId, code);
    this.controlSince += FRAME_HEADER_SIZE + 4;
    this.mark();
  }

  windowUpdate(streamId: number, increment: number): void {
    frames.writeWindowUpdate(this.output, streamId, increment);
    this.controlSince += FRAME_HEADER_SIZE + 4;
    this.mark();
  }

  head(stream: Stream, head: Head, end: boolean): void {
    frames.writeHeaders(this.output, this.encoder, stream.id, head, end);
    this.mark();
  }

  /** Writes what windows and transport allow of a stream's octets; END_STREAM with the last of them where `fin`. */
  data(stream: Stream, buffer: Buffer, start: number, end: number, fin: boolean): number {
    if (start === end) {
      frames.writeData(this.output, stream.id, buffer, start, end, fin);
      this.mark();
      return 0;
    }
    let at = start;
    while (at < end && !this.congested()) {
      const size = Math.min(end - at, DEFAULT_MAX_FRAME_SIZE, this.window.available, stream.send.available);
      if (size <= 0) break;
      const next = at + size;
      frames.writeData(this.output, stream.id, buffer, at, next, fin && next === end);
      this.dataFrames++;
      this.window.take(size);
      stream.send.take(size);
      at = next;
    }
    if (at > start) this.mark();
    return at - start;
  }

  /** The stream has octets queued; it is asked again when a window or the transport has room. */
  wait(stream: Stream): void {
    this.waiting.add(stream);
  }

  forget(stream: Stream): void {
    this.waiting.delete(stream);
  }

  /** Lets the waiting streams write in turn, a quantum each, until a window or the transport is full. */
  pump(): void {
    // A round without an octet ends it: every stream that is left waits for something that has yet to come. Those that have
    // left the list meanwhile do not count, or the ones behind them would not be asked.
    for (let idle = 0; idle < this.waiting.size && this.window.available > 0 && !this.congested(); ) {
      const stream = this.waiting.shift();
      if (stream === undefined || this.stopped) return;
      const result = stream.drain(QUANTUM);
      // Its pace asks it.
      if (result === "paced") continue;
      if (result !== "stuck") idle = 0;
      else if (stream.send.available > 0) idle++;
      // A stream whose own window is used up is put back by its WINDOW_UPDATE.
      else continue;
      if (result !== "done") this.waiting.add(stream);
    }
  }

  /** No more is written; what was written before still leaves with `flush`. */
  stop(): void {
    this.stopped = true;
    this.waiting.clear();
  }

  flush(): void {
    this.marked = false;
    this.output.flush();
  }

  private congested(): boolean {
    if (this.output.unflushed >= FLUSH_AT) this.output.flush();
    return this.isStuck;
  }

  private mark(): void {
    if (this.marked) return;
    this.marked = true;
    this.loop.mark(this);
  }
}
