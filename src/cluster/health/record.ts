import type { Timer } from "../../core/clock.ts";

/** Why an endpoint was ejected: the key of the setting. */
export type EjectionCause = "consecutiveFailures" | "failurePercentage" | "successRate";

/** Whether an endpoint gets calls, as far as its answers go. */
export type EjectionState =
  | { readonly kind: "in" }
  /** Times are wall-clock milliseconds, for people. */
  | {
      readonly kind: "ejected";
      readonly cause: EjectionCause;
      readonly detail: string;
      readonly since: number;
      readonly until: number;
      readonly timer: Timer;
    }
  /** Its time is over: one call at a time is let through, and the first that says something decides. */
  | { readonly kind: "halfOpen"; readonly cause: EjectionCause; readonly detail: string; readonly since: number };

/** What outlier detection remembers of one endpoint, over every change of its settings. Times are the clock's milliseconds. */
export class OutlierRecord {
  state: EjectionState = { kind: "in" };
  /** Failures in a row. */
  consecutive = 0;
  /** Since the last look. */
  good = 0;
  bad = 0;
  /** Ejections in a row: each makes the next one longer. */
  times = 0;
  returnedAt = 0;
  /** When a connection was last lost: the calls that it took with it count once. */
  lostAt = Number.NEGATIVE_INFINITY;
  /** When the last call was let through half-open, and whether it is still awaited. */
  triedAt = Number.NEGATIVE_INFINITY;
  trying = false;

  get isIn(): boolean {
    return this.state.kind === "in";
  }

  /** Forgets what led to the present state, not how often it came to it. */
  reset(): void {
    this.consecutive = 0;
    this.good = 0;
    this.bad = 0;
    this.trying = false;
  }
}
