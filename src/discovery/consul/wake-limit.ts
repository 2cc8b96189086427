/**
 * Bounds how often a loop comes round: `burst` times at once, then once every `interval` milliseconds (the generic cell
 * rate algorithm, which needs one number and no timer).
 */
export class WakeLimit {
  private readonly interval: number;
  private readonly burst: number;
  /** When the rounds taken so far are paid for, in the clock's milliseconds. */
  private paid = Number.NEGATIVE_INFINITY;

  constructor(interval: number, burst: number) {
    this.interval = interval;
    this.burst = burst;
  }

  /** Notes a round at `now` and gives how long to wait before the next one, in milliseconds. */
  next(now: number): number {
    this.paid = Math.max(this.paid, now) + this.interval;
    return Math.max(0, this.paid - now - (this.burst - 1) * this.interval);
  }
}
