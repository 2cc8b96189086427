import type { Allowance } from "./allowance.ts";
import type { Paced } from "./pace.ts";

/** Rounding of sums of fractions, in milliseconds: far below a call, far above what doubles lose. */
const ROUNDING = 1e-6;

/**
 * A token bucket, kept as the one number that says all of it: when it will be full again, as in the generic cell rate
 * algorithm (ITU-T I.371). Every call moves that moment on by the time in which a token comes back.
 */
export class TokenBucket implements Allowance {
  private readonly of: Paced;
  private fullAt = Number.NEGATIVE_INFINITY;

  constructor(of: Paced) {
    this.of = of;
  }

  ready(now: number): boolean {
    return this.wait(now) <= 0;
  }

  take(now: number): void {
    const { amount, per } = this.of.pace;
    this.fullAt = Math.max(this.fullAt, now) + per / amount;
  }

  wait(now: number): number {
    const { amount, per, burst } = this.of.pace;
    const interval = per / amount;
    return Math.max(0, Math.max(this.fullAt, now) + interval - burst * interval - now - ROUNDING);
  }

  used(now: number): number {
    const { amount, per } = this.of.pace;
    return (Math.max(0, this.fullAt - now) * amount) / per;
  }

  good(): number {
    return 0;
  }

  fresh(now: number): boolean {
    return this.fullAt <= now;
  }
}
