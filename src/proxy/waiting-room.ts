/** Bounds of what waits, for a connection, a lookup or the start, and of what is kept for another attempt. */
export interface WaitingLimits {
  /** In all. One caller may have as many as it leaves free: half of them, alone. */
  readonly calls: number;
  /** Octets of request bodies, of calls that wait and of calls whose answer has not begun. */
  readonly octets: number;
  /** Milliseconds. */
  readonly time: number;
}

/** Bounds for the whole process; `time` in milliseconds. */
export const defaultWaitingLimits: WaitingLimits = { calls: 2000, octets: 16_777_216, time: 10_000 };

/** One of those whose calls wait. */
export interface Waiters {
  /** Calls of it that wait. */
  waiting: number;
}

/**
 * Counts the calls that wait and the octets of requests that are kept, for the whole process.
 *
 * Invariants: every `enter` that said yes is followed by one `leave` of the same caller, what `hold` granted is let go once;
 * a caller that has fewer calls waiting than there are places left gets one, however many others have.
 */
export class WaitingRoom {
  readonly limits: WaitingLimits;
  calls = 0;
  octets = 0;

  constructor(limits: WaitingLimits = defaultWaitingLimits) {
    this.limits = limits;
  }

  /** Whether a call may wait; `caller` where it is one of several. */
  enter(caller?: Waiters): boolean {
    const left = this.limits.calls - this.calls;
    if (left <= (caller?.waiting ?? 0)) return false;
    this.calls++;
    if (caller !== undefined) caller.waiting++;
    return true;
  }

  leave(caller?: Waiters): void {
    this.calls--;
    if (caller !== undefined) caller.waiting--;
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
