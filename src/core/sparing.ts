/**
 * How often something may be told that others can cause as often as they like: so many times at once, and as many a second after
 * that. What is over it is counted.
 */
export class Sparing {
  private readonly now: () => number;
  private tokens = Number.POSITIVE_INFINITY;
  private at = 0;
  private leftOut = 0;

  /** `now`: milliseconds of the clock. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** Whether it may be told now. `rate`: times a second, which may have changed meanwhile. */
  allows(rate: number, burst = rate): boolean {
    const now = this.now();
    this.tokens = Math.min(burst, this.tokens + ((now - this.at) / 1000) * rate);
    this.at = now;
    if (this.tokens < 1) {
      this.leftOut++;
      return false;
    }
    this.tokens--;
    return true;
  }

  /** How many times it was left out since this was asked last; undefined where none was. */
  takeLeftOut(): number | undefined {
    const { leftOut } = this;
    this.leftOut = 0;
    return leftOut === 0 ? undefined : leftOut;
  }
}
