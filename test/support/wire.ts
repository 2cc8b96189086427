import { Duplex } from "node:stream";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { FrameReader, frame, type RawFrame } from "./raw-frames.ts";

/** The transport of one end of a wire. A write is complete when the test says so. */
export class WireEnd extends Duplex {
  private readonly out: Direction;
  private readonly held: (() => void)[] = [];

  constructor(out: Direction) {
    super({ allowHalfOpen: true, highWaterMark: 16_384 });
    this.out = out;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.out.push(chunk);
    this.held.push(done);
  }

  /** Completes what was written. */
  complete(): void {
    for (const done of this.held.splice(0)) done();
  }
}

/**
 * What one end sends the other, cut into frames, so that SETTINGS can be put in between as if its sender had changed its mind.
 * The acknowledgements of such SETTINGS are taken out of the other direction again.
 */
export class Direction {
  private readonly reader = new FrameReader();
  private readonly queue: Buffer[] = [];
  private inBlock = false;
  private greeted = false;
  /** For each SETTINGS that is not acknowledged yet, whether it was put in. */
  private readonly acknowledgements: boolean[] = [];
  private prefaceLeft: number;
  private back: Direction | undefined = undefined;
  /** Octets that wait to be delivered. */
  waiting = 0;

  constructor(preface: boolean) {
    this.prefaceLeft = preface ? CLIENT_PREFACE.length : 0;
  }

  /** The two directions of a wire: from the client and to it. */
  static pair(): readonly [up: Direction, down: Direction] {
    const [up, down] = [new Direction(true), new Direction(false)];
    up.back = down;
    down.back = up;
    return [up, down];
  }

  push(chunk: Buffer): void {
    const preface = chunk.subarray(0, this.prefaceLeft);
    this.prefaceLeft -= preface.length;
    if (preface.length > 0) this.enqueue(Buffer.from(preface));
    for (const one of this.reader.push(chunk.subarray(preface.length))) this.take(one);
  }

  /** Puts SETTINGS in; false where a header block is under way, or nothing has been said yet. */
  inject(settings: Buffer): boolean {
    if (this.inBlock || !this.greeted) return false;
    this.acknowledgements.push(true);
    this.enqueue(settings);
    return true;
  }

  /** The next octets, at most so many. */
  deliver(octets: number): Buffer {
    const parts: Buffer[] = [];
    let left = octets;
    while (left > 0) {
      const first = this.queue.shift();
      if (first === undefined) break;
      const part = first.subarray(0, left);
      if (part.length < first.length) this.queue.unshift(first.subarray(part.length));
      parts.push(part);
      left -= part.length;
      this.waiting -= part.length;
    }
    return Buffer.concat(parts);
  }

  private take({ type, flags, stream, payload }: RawFrame): void {
    if (type === FrameType.SETTINGS && (flags & Flag.ACK) !== 0) {
      if (this.back?.acknowledgements.shift() === true) return;
    } else if (type === FrameType.SETTINGS) {
      this.acknowledgements.push(false);
      this.greeted = true;
    } else if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) {
      this.inBlock = (flags & Flag.END_HEADERS) === 0;
    }
    this.enqueue(frame(type, flags, stream, payload));
  }

  private enqueue(octets: Buffer): void {
    this.queue.push(octets);
    this.waiting += octets.length;
  }
}
