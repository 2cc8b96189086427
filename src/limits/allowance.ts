/**
 * What a limit still allows of one key. Times are milliseconds of the clock, never going back. It decides at once, and
 * `ready` promises nothing to a later turn of the event loop.
 */
export interface Allowance {
  /** Whether one more call may pass. */
  ready(now: number): boolean;
  /** A call passes; only after `ready` said so in this turn. */
  take(now: number): void;
  /** Milliseconds until a call may pass, where `ready` says no. */
  wait(now: number): number;
  /** Milliseconds for which calls that are taken now, for later, are good; 0: for as long as one likes. */
  good(now: number): number;
  /** Calls of those that may pass at once which are used up, with fractions; undefined: a store counts them. */
  used(now: number): number | undefined;
  /** Whether it can be forgotten: a new one in its place would decide the same. */
  fresh(now: number): boolean;
}
