import { Copy, giveBuffer, takeBuffer } from "../core/copies.ts";
import { ConnectionError, ErrorCode } from "./errors.ts";
import { DEFAULT_MAX_FRAME_SIZE, Flag, FRAME_HEADER_SIZE, FrameType } from "./frame.ts";

/**
 * What a decoder tells of the frames that it reads. Buffers are valid during the call only. Methods may throw
 * ConnectionError, after which the decoder is not used again.
 */
export interface FrameSink {
  /** A DATA frame begins; `length` octets of it count against the windows, padding included (RFC 9113 §6.9.1). */
  onDataFrame(streamId: number, length: number, endStream: boolean): void;
  /** Some of the current DATA frame's octets, as they come; `last`: the frame's last ones. Never empty except for an empty frame. */
  onData(buffer: Buffer, start: number, end: number, last: boolean): void;
  /** Octets of padding (and its length field) of the current DATA frame. */
  onPadding(octets: number): void;
  /** A complete header block. `dependsOn` is a priority's stream, or -1. */
  onHeaders(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean, dependsOn: number): void;
  onPriority(streamId: number, dependsOn: number): void;
  onReset(streamId: number, code: ErrorCode): void;
  onSettings(buffer: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  onPing(buffer: Buffer, start: number, ack: boolean): void;
  onGoaway(lastStreamId: number, code: ErrorCode, debug: string): void;
  onWindowUpdate(streamId: number, increment: number): void;
  onUnknown(type: number): void;
  /** Asked between frames now and then: whether the rest is to be read later. */
  weary(): boolean;
  /** A frame that breaks the rules for its stream only (RFC 9113 §5.4.2). */
  onStreamError(streamId: number, code: ErrorCode, reason: string): void;
}

/** Octets, payload of DATA aside, after which the sink is asked whether it has had enough. */
const GRAIN = 4096;

/** Where the fragments of a header block are put together, one block after the other. */
let whole = Buffer.allocUnsafeSlow(0);

/**
 * Bytes to frames. Frames that lie whole in a chunk are read in place; DATA is passed on as it comes, whatever its frame's
 * size; any other frame that is cut is collected first.
 *
 * Invariants: the first frame is SETTINGS (RFC 9113 §3.4); a frame's length is checked against the limit as soon as its 9
 * octets are in (§4.2); between the HEADERS and CONTINUATION frames of a block nothing else is accepted (§6.10); a chunk cut
 * anywhere reads the same; after `stop` the sink hears nothing more, not even of the chunk at hand.
 */
export class FrameDecoder {
  private readonly sink: FrameSink;
  private readonly maxFrameSize: number;
  private readonly maxBlockSize: number;
  private readonly maxContinuations: number;

  private stopped = false;
  /** Octets until the sink is asked. */
  private grain = GRAIN;
  /** Frames that have begun. */
  private begun = 0;
  /** The peer's first frame has come. */
  private greeted = false;

  /** The current frame's header, once complete. */
  private type = 0;
  private flags = 0;
  private streamId = 0;
  private length = 0;

  private state: "header" | "payload" | "data" = "header";
  /** What of a cut header or payload is in. */
  private readonly partialHeader = Buffer.alloc(FRAME_HEADER_SIZE);
  private partial: Buffer = this.partialHeader;
  private have = 0;

  /** DATA: octets still to come, of data and of padding; the padding's length is not known before the first octet. */
  private dataLeft = 0;
  private padLeft = 0;
  private padKnown = true;

  /** A header block that continues. */
  private block: Copy[] | undefined;
  private blockSize = 0;
  private blockFrames = 0;
  private blockStream = 0;
  private blockBegun = 0;
  private blockEndStream = false;
  private blockDependsOn = -1;

  constructor(sink: FrameSink, options: { maxFrameSize?: number; maxBlockSize: number; maxContinuations: number }) {
    this.sink = sink;
    this.maxFrameSize = options.maxFrameSize ?? DEFAULT_MAX_FRAME_SIZE;
    this.maxBlockSize = options.maxBlockSize;
    this.maxContinuations = options.maxContinuations;
  }

  /** Which frame or header block has begun and is not complete, DATA aside; 0: none, or nothing is read any more. */
  get unfinished(): number {
    if (this.stopped) return 0;
    if (this.block !== undefined) return this.blockBegun;
    if (this.state === "payload") return this.begun;
    return this.state === "header" && this.have > 0 ? this.begun + 1 : 0;
  }

  /** Reads `chunk` until the sink is weary; gives how far. Throws ConnectionError where the peer broke the connection. */
  push(chunk: Buffer): number {
    let at = 0;
    const end = chunk.length;
    while (at < end && !this.stopped) {
      if (this.state === "header") {
        if (this.grain < 0 && this.have === 0) {
          this.grain = GRAIN;
          if (this.sink.weary()) return at;
        }
        if (this.have === 0 && end - at >= FRAME_HEADER_SIZE) {
          this.readHeader(chunk, at);
          at += FRAME_HEADER_SIZE;
        } else {
          const take = Math.min(FRAME_HEADER_SIZE - this.have, end - at);
          chunk.copy(this.partialHeader, this.have, at, at + take);
          this.have += take;
          at += take;
          if (this.have < FRAME_HEADER_SIZE) return end;
          this.have = 0;
          this.readHeader(this.partialHeader, 0);
        }
        if (this.type === FrameType.DATA) {
          this.beginData();
          continue;
        } else if (this.length === 0) {
          this.frame(chunk, at, at);
          continue;
        }
      }
      if (at >= end) return end;
      if (this.state === "data") {
        at = this.data(chunk, at, end);
      } else if (this.have === 0 && end - at >= this.length) {
        this.state = "header";
        const payload = at;
        at += this.length;
        this.frame(chunk, payload, at);
      } else {
        at = this.collect(chunk, at, end);
      }
    }
    return end;
  }

  /** Reads no further. */
  stop(): void {
    this.stopped = true;
    this.dropBlock();
    if (this.partial !== this.partialHeader) giveBuffer(this.partial);
    this.partial = this.partialHeader;
  }

  private readHeader(buffer: Buffer, at: number): void {
    const word = buffer.readUInt32BE(at);
    this.length = word >>> 8;
    this.type = word & 0xff;
    this.flags = buffer.readUInt8(at + 4);
    this.streamId = buffer.readUInt32BE(at + 5) & 0x7fffffff;
    this.begun++;
    this.grain -= FRAME_HEADER_SIZE + (this.type === FrameType.DATA ? 0 : this.length);
    if (!this.greeted) this.greet();
    if (this.length > this.maxFrameSize)
      throw new ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        `a frame of ${this.length} octets, ${this.maxFrameSize} are allowed`,
      );
    if (this.block !== undefined && (this.type !== FrameType.CONTINUATION || this.streamId !== this.blockStream))
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted by another frame");
    if (this.length > 0) this.state = this.type === FrameType.DATA ? "data" : "payload";
  }

  private greet(): void {
    if (this.type !== FrameType.SETTINGS || (this.flags & Flag.ACK) !== 0)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "not HTTP/2: what came first is not SETTINGS");
    this.greeted = true;
  }

  private collect(chunk: Buffer, start: number, end: number): number {
    if (this.have === 0) this.partial = takeBuffer(this.length);
    const take = Math.min(this.length - this.have, end - start);
    chunk.copy(this.partial, this.have, start, start + take);
    this.have += take;
    if (this.have === this.length) {
      const payload = this.partial;
      this.partial = this.partialHeader;
      this.have = 0;
      this.state = "header";
      try {
        this.frame(payload, 0, this.length);
      } finally {
        giveBuffer(payload);
      }
    }
    return start + take;
  }

  // --- DATA, RFC 9113 §6.1 ---

  private beginData(): void {
    if (this.streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0");
    this.padKnown = (this.flags & Flag.PADDED) === 0;
    if (!this.padKnown && this.length === 0)
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "padded DATA without a padding length");
    this.dataLeft = this.length;
    this.padLeft = 0;
    this.sink.onDataFrame(this.streamId, this.length, (this.flags & Flag.END_STREAM) !== 0);
    if (this.length === 0) this.sink.onData(this.partialHeader, 0, 0, true);
  }

  private data(chunk: Buffer, start: number, end: number): number {
    let at = start;
    if (!this.padKnown) {
      this.padKnown = true;
      this.padLeft = chunk.readUInt8(at++);
      this.dataLeft -= 1;
      if (this.padLeft > this.dataLeft)
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "DATA padding as long as its frame or longer");
      this.dataLeft -= this.padLeft;
      this.sink.onPadding(1 + this.padLeft);
      if (this.dataLeft === 0) {
        if (this.padLeft === 0) this.state = "header";
        this.sink.onData(chunk, at, at, true);
      }
    }
    if (this.dataLeft > 0) {
      const take = Math.min(this.dataLeft, end - at);
      if (take === 0) return at;
      this.dataLeft -= take;
      const last = this.dataLeft === 0;
      if (last && this.padLeft === 0) this.state = "header";
      this.sink.onData(chunk, at, at + take, last);
      at += take;
    }
    if (this.dataLeft === 0 && this.padLeft > 0) {
      const skip = Math.min(this.padLeft, end - at);
      this.padLeft -= skip;
      at += skip;
      if (this.padLeft === 0) this.state = "header";
    }
    return at;
  }

  // --- every other frame, complete in `buffer` from `start` to `end` ---

  private frame(buffer: Buffer, start: number, end: number): void {
    const length = end - start;
    switch (this.type) {
      case FrameType.HEADERS:
        this.headers(buffer, start, end);
        return;
      case FrameType.CONTINUATION:
        this.continuation(buffer, start, end);
        return;
      case FrameType.PRIORITY:
        if (this.streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0");
        if (length === 5) this.sink.onPriority(this.streamId, buffer.readUInt32BE(start) & 0x7fffffff);
        else this.sink.onStreamError(this.streamId, ErrorCode.FRAME_SIZE_ERROR, `PRIORITY of ${length} octets, not 5`);
        return;
      case FrameType.RST_STREAM:
        if (this.streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on stream 0");
        this.expect(length === 4, `RST_STREAM of ${length} octets, not 4`);
        this.sink.onReset(this.streamId, buffer.readUInt32BE(start));
        return;
      case FrameType.SETTINGS:
        this.onlyOnConnection("SETTINGS");
        if ((this.flags & Flag.ACK) !== 0) {
          this.expect(length === 0, "a SETTINGS acknowledgement with a payload");
          this.sink.onSettingsAck();
          return;
        }
        this.expect(length % 6 === 0, `SETTINGS of ${length} octets, not a multiple of 6`);
        this.sink.onSettings(buffer, start, end);
        return;
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, and push is disabled");
      case FrameType.PING:
        this.onlyOnConnection("PING");
        this.expect(length === 8, `PING of ${length} octets, not 8`);
        this.sink.onPing(buffer, start, (this.flags & Flag.ACK) !== 0);
        return;
      case FrameType.GOAWAY:
        this.onlyOnConnection("GOAWAY");
        this.expect(length >= 8, `GOAWAY of ${length} octets, fewer than 8`);
        this.sink.onGoaway(
          buffer.readUInt32BE(start) & 0x7fffffff,
          buffer.readUInt32BE(start + 4),
          buffer.toString("latin1", start + 8, Math.min(end, start + 8 + 256)),
        );
        return;
      case FrameType.WINDOW_UPDATE:
        this.expect(length === 4, `WINDOW_UPDATE of ${length} octets, not 4`);
        this.sink.onWindowUpdate(this.streamId, buffer.readUInt32BE(start) & 0x7fffffff);
        return;
      default:
        this.sink.onUnknown(this.type);
    }
  }

  private expect(condition: boolean, reason: string): void {
    if (!condition) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, reason);
  }

  private onlyOnConnection(name: string): void {
    if (this.streamId !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} on stream ${this.streamId}`);
  }

  private headers(buffer: Buffer, start: number, end: number): void {
    if (this.streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0");
    let from = start;
    let to = end;
    if ((this.flags & Flag.PADDED) !== 0) {
      this.expect(from < to, "padded HEADERS without a padding length");
      to -= buffer.readUInt8(from++);
      // RFC 9113 §6.2: padding that exceeds what is left is a PROTOCOL_ERROR.
      if (to < from) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS padding longer than its frame");
    }
    let dependsOn = -1;
    if ((this.flags & Flag.PRIORITY) !== 0) {
      this.expect(to - from >= 5, "HEADERS too short for its priority");
      dependsOn = buffer.readUInt32BE(from) & 0x7fffffff;
      from += 5;
    }
    const endStream = (this.flags & Flag.END_STREAM) !== 0;
    if ((this.flags & Flag.END_HEADERS) !== 0) {
      this.sink.onHeaders(this.streamId, buffer, from, to, endStream, dependsOn);
      return;
    }
    this.block = [];
    this.blockSize = 0;
    this.blockFrames = 0;
    this.blockStream = this.streamId;
    this.blockBegun = this.begun;
    this.blockEndStream = endStream;
    this.blockDependsOn = dependsOn;
    this.gather(buffer, from, to);
  }

  private continuation(buffer: Buffer, start: number, end: number): void {
    if (this.block === undefined) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    if (++this.blockFrames > this.maxContinuations)
      throw new ConnectionError(
        ErrorCode.ENHANCE_YOUR_CALM,
        `more than ${this.maxContinuations} CONTINUATION frames in a header block`,
      );
    this.gather(buffer, start, end);
    if ((this.flags & Flag.END_HEADERS) === 0) return;
    const { blockSize } = this;
    const block = this.joined(this.block);
    this.dropBlock();
    this.sink.onHeaders(this.blockStream, block, 0, blockSize, this.blockEndStream, this.blockDependsOn);
  }

  /** The fragments of a block as one, in memory that the next block is written to: who reads it keeps nothing of it. */
  private joined(block: readonly Copy[]): Buffer {
    if (whole.length < this.blockSize) whole = Buffer.allocUnsafeSlow(Math.max(this.blockSize, 2 * whole.length));
    let at = 0;
    for (const { buffer, length } of block) at += buffer.copy(whole, at, 0, length);
    return whole;
  }

  private dropBlock(): void {
    for (const copy of this.block ?? []) copy.free();
    this.block = undefined;
  }

  private gather(buffer: Buffer, start: number, end: number): void {
    this.blockSize += end - start;
    if (this.blockSize > this.maxBlockSize)
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `a header block of more than ${this.maxBlockSize} octets`);
    if (this.block !== undefined) Copy.push(this.block, buffer, start, end);
  }
}
