/** Bounds of what waits, for a connection, a lookup or the start: see "Calls that wait" in docs/reasons.md. */
export interface WaitingLimits {
  readonly calls: number;
  /** Octets of request bodies. */
  readonly octets: number;
  /** Milliseconds. */
  readonly time: number;
}

export const defaultWaitingLimits: WaitingLimits = { calls: 1000, octets: 16_777_216, time: 10_000 };

/**
 * Counts the calls that wait and what they hold, for the whole process.
 *
 * Invariant: every `enter` that said yes is followed by exactly one `leave` with the octets that were held.
 */
export class WaitingRoom {
  readonly limits: WaitingLimits;
  calls = 0;
  octets = 0;

  constructor(limits: WaitingLimits = defaultWaitingLimits) {
    this.limits = limits;
  }

  enter(): boolean {
    if (this.calls >= this.limits.calls) return false;
    this.calls++;
    return true;
  }

  /** Whether that many octets more may be held. */
  hold(octets: number): boolean {
    if (this.octets + octets > this.limits.octets) return false;
    this.octets += octets;
    return true;
  }

  leave(octets: number): void {
    this.calls--;
    this.octets -= octets;
  }
}
