import type { Allowance } from "./allowance.ts";
import type { Paced } from "./pace.ts";

/**
 * A sliding window of two counts: those of the current stretch of time, and those of the one before as far as the window
 * still reaches into it, as if they had been spread over it evenly. That errs by a few calls where a log of every call would
 * not, and costs two numbers.
 */
export class SlidingWindow implements Allowance {
  private readonly of: Paced;
  private stretch = Number.NEGATIVE_INFINITY;
  private count = 0;
  private before = 0;

  constructor(of: Paced) {
    this.of = of;
  }

  ready(now: number): boolean {
    return this.wait(now) <= 0;
  }

  take(now: number): void {
    this.turn(now);
    this.count++;
  }

  wait(now: number): number {
    this.turn(now);
    const { amount, per } = this.of.pace;
    const start = this.stretch * per;
    if (this.count + 1 <= amount) return Math.max(0, start + fadeTo(amount - this.count - 1, this.before) * per - now);
    // Not in this stretch any more; in the next one its own counts fade.
    return start + per + fadeTo(amount - 1, this.count) * per - now;
  }

  used(now: number): number {
    this.turn(now);
    const left = 1 - (now / this.of.pace.per - this.stretch);
    return this.count + this.before * left;
  }

  good(now: number): number {
    const { per } = this.of.pace;
    return per - (now % per);
  }

  fresh(now: number): boolean {
    this.turn(now);
    return this.count === 0 && this.before === 0;
  }

  private turn(now: number): void {
    const stretch = Math.floor(now / this.of.pace.per);
    if (stretch === this.stretch) return;
    this.before = stretch === this.stretch + 1 ? this.count : 0;
    this.count = 0;
    this.stretch = stretch;
  }
}

/** Which share of a stretch has to pass until no more than `room` of its predecessor's `count` are in the window. */
function fadeTo(room: number, count: number): number {
  return count <= room ? 0 : 1 - room / count;
}
