/** Bounds of what waits, for a connection, a lookup or the start, and of what is kept for another attempt. */
export interface WaitingLimits {
  readonly calls: number;
  /** Octets of request bodies, of calls that wait and of calls whose answer has not begun; one caller may have as many as it leaves free. */
  readonly octets: number;
  /** Milliseconds. */
  readonly time: number;
}

/** Bounds for the whole process; `time` in milliseconds. */
export const defaultWaitingLimits: WaitingLimits = { calls: 10_000, octets: 33_554_432, time: 10_000 };

/** One of those whose requests are kept. */
export interface Keeper {
  /** Octets of theirs. Owned by the room. */
  kept: number;
}

/**
 * Counts the calls that wait and the octets of requests that are kept.
 *
 * Invariants: every `enter` that said yes is followed by one `leave`; what `hold` granted is let go once, for the same keeper; nobody is
 * given octets that would leave others fewer than it has.
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

  /** Whether that many octets more may be kept; `keeper` where they are of one of several. */
  hold(octets: number, keeper?: Keeper): boolean {
    const left = this.limits.octets - this.octets - octets;
    if (left < 0) return false;
    if (keeper !== undefined) {
      if (keeper.kept + octets > left) return false;
      keeper.kept += octets;
    }
    this.octets += octets;
    return true;
  }

  letGo(octets: number, keeper?: Keeper): void {
    this.octets -= octets;
    if (keeper !== undefined) keeper.kept -= octets;
  }
}
