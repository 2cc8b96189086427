import { TokenBucket } from "./token-bucket.ts";

/**
 * How often something may be told that others can cause as often as they like: so many times at once, and as many a second after
 * that. What is over it is counted.
 */
export class Sparing {
  private readonly now: () => number;
  private readonly bucket = new TokenBucket();
  private leftOut = 0;

  /** `now`: milliseconds of the clock. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** Whether it may be told now. `rate`: times a second, which may have changed meanwhile. */
  allows(rate: number, burst = rate): boolean {
    const allowed = this.bucket.take(rate, burst, this.now());
    if (!allowed) this.leftOut++;
    return allowed;
  }

  /** How many times it was left out since this was asked last; undefined where none was. */
  takeLeftOut(): number | undefined {
    const { leftOut } = this;
    this.leftOut = 0;
    return leftOut === 0 ? undefined : leftOut;
  }
}
