import { type Readable, Transform, type TransformCallback, type Writable } from "node:stream";
import type { Pace, Paced } from "../core/pace.ts";

/**
 * Lets octets through at a pace. What it holds is bounded by what streams hold on either side; whoever writes is told to wait, and so
 * nothing more is read of where they come from.
 */
export class PacedStream extends Transform implements Paced {
  private readonly pace: Pace;
  private rest: Buffer = Buffer.alloc(0);
  private passed: TransformCallback | undefined = undefined;

  constructor(pace: Pace) {
    super();
    this.pace = pace;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, passed: TransformCallback): void {
    this.rest = chunk;
    this.passed = passed;
    this.pass(this.pace.take(chunk.length));
    if (this.rest.length > 0) this.pace.wait(this);
  }

  sendPaced(octets: number): number {
    const sent = Math.min(octets, this.rest.length);
    this.pass(sent);
    if (this.rest.length > 0) this.pace.wait(this);
    return sent;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.pace.leave(this);
    callback(error);
  }

  private pass(octets: number): void {
    if (octets > 0) this.push(this.rest.subarray(0, octets));
    this.rest = this.rest.subarray(octets);
    if (this.rest.length > 0) return;
    const { passed } = this;
    this.passed = undefined;
    passed?.();
  }
}

/** Pipes at a pace, where there is one. Who reads no more, for it is gone, keeps nothing. */
export function pipePaced(from: Readable, to: Writable, pace: Pace | undefined): void {
  if (pace === undefined) from.pipe(to);
  else from.pipe(pacedInto(to, pace));
}

/** What is written to it goes on at a pace, and ends as it ends. */
export function pacedInto(to: Writable, pace: Pace): PacedStream {
  const paced = new PacedStream(pace);
  // The end of what it feeds is told by that.
  paced.on("error", () => {});
  to.once("close", () => paced.destroy());
  paced.pipe(to);
  return paced;
}
