import type { Allowance } from "./allowance.ts";
import type { Paced } from "./pace.ts";

/** Rounding of sums of fractions, in milliseconds: far below a call, far above what doubles lose. */
const ROUNDING = 1e-6;

/**
 * A token bucket, kept as the one number that says all of it: when it will be full again, as in the generic cell rate
 * algorithm (ITU-T I.371). Every call moves that moment on by the time in which a token comes back. Under another pace as many
 * tokens are missing as before, which is another time.
 */
export class TokenBucket implements Allowance {
  private readonly of: Paced;
  private fullAt = Number.NEGATIVE_INFINITY;
  /** Milliseconds in which a token comes back, as `fullAt` has it. */
  private interval = 0;

  constructor(of: Paced) {
    this.of = of;
  }

  ready(now: number): boolean {
    return this.wait(now) <= 0;
  }

  take(now: number): void {
    const interval = this.adopt(now);
    this.fullAt = Math.max(this.fullAt, now) + interval;
  }

  wait(now: number): number {
    const interval = this.adopt(now);
    const { burst } = this.of.pace;
    return Math.max(0, Math.max(this.fullAt, now) + interval - burst * interval - now - ROUNDING);
  }

  used(now: number): number {
    const interval = this.adopt(now);
    return Math.max(0, this.fullAt - now) / interval;
  }

  good(): number {
    return 0;
  }

  fresh(now: number): boolean {
    this.adopt(now);
    return this.fullAt <= now;
  }

  /** Goes over to the pace in force, where that is another one; the time in which a token comes back. */
  private adopt(now: number): number {
    const { amount, per } = this.of.pace;
    const interval = per / amount;
    if (interval !== this.interval) {
      if (this.fullAt > now) this.fullAt = now + ((this.fullAt - now) * interval) / this.interval;
      this.interval = interval;
    }
    return interval;
  }
}
