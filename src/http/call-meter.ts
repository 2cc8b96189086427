import type { Call, Outcome } from "./call.ts";

/** Counts of a call what few want to know: see `metrics.names`. */
export interface CallMeter {
  /** An attempt left. */
  attemptStarted(): void;
  /** An attempt that left is over. `ms`: since it had its connection. `sent`, `received`: octets of bodies. */
  attemptEnded(status: number, ms: number, sent: number, received: number): void;
  /** The call is over, `ms` after its head. */
  finished(call: Call, outcome: Outcome, ms: number): void;
}

/** What became necessary beside the first attempt at a call. */
export class FurtherAttempts {
  /** By a policy, after one that failed. */
  retries = 0;
  /** By a policy, beside others. */
  hedges = 0;
  /** The application provably had not seen the call. */
  transparent = 0;
  /** Milliseconds in which no attempt was under way. */
  delay = 0;
}
