/** Bounds of what waits, for a connection, a lookup or the start, and of what is kept for another attempt. */
export interface WaitingLimits {
  readonly calls: number;
  /** Octets of request bodies, of calls that wait and of calls whose answer has not begun. */
  readonly octets: number;
  /** Milliseconds. */
  readonly time: number;
}

/** Bounds for the whole process; `time` in milliseconds. */
export const defaultWaitingLimits: WaitingLimits = { calls: 10_000, octets: 16_777_216, time: 10_000 };

/**
 * Counts the calls that wait and the octets of requests that are kept.
 *
 * Invariants: every `enter` that said yes is followed by one `leave`; what `hold` granted is let go once.
 */
export class WaitingRoom {
  readonly limits: WaitingLimits;
  calls = 0;
  octets = 0;

  constructor(limits: WaitingLimits = defaultWaitingLimits) {
    this.limits = limits;
  }

  /** Whether a call may wait. */
  enter(): boolean {
    if (this.calls >= this.limits.calls) return false;
    this.calls++;
    return true;
  }

  leave(): void {
    this.calls--;
  }

  /** Whether that many octets more may be kept. */
  hold(octets: number): boolean {
    if (this.octets + octets > this.limits.octets) return false;
    this.octets += octets;
    return true;
  }

  letGo(octets: number): void {
    this.octets -= octets;
  }
}
