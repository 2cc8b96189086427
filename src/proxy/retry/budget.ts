import { RollingCount } from "../../core/rolling-count.ts";

/** Milliseconds that the budget looks back. */
const WINDOW = 10_000;
/** Further attempts in the window that are allowed however few calls there were. */
const ALWAYS = 100;

/**
 * How many further attempts the calls of an upstream may make: a share of the calls of the last ten seconds, and a hundred in any
 * case. Without it every call of a service that is down is three, and it does not come up again.
 */
export class RetryBudget {
  private readonly calls = new RollingCount(WINDOW);
  private readonly retries = new RollingCount(WINDOW);

  /** A call that may be made again begins. `now`: milliseconds of the clock. */
  call(now: number): void {
    this.calls.add(now);
  }

  /** Takes one further attempt, where there are fewer than `share` of the calls. */
  take(share: number, now: number): boolean {
    this.calls.turn(now);
    this.retries.turn(now);
    if (this.retries.sum >= this.allowed(share)) return false;
    this.retries.add(now);
    return true;
  }

  /** What there is of it, for people. */
  state(share: number, now: number): { readonly used: number; readonly allowed: number } {
    this.calls.turn(now);
    this.retries.turn(now);
    return { used: this.retries.sum, allowed: this.allowed(share) };
  }

  private allowed(share: number): number {
    return Math.max(ALWAYS, Math.floor(this.calls.sum * share));
  }
}
