import { DEFAULT_WINDOW, MAX_WINDOW } from "./frame.ts";

/** How much may still be sent; negative after the peer lowered its initial window (RFC 9113 §6.9.2). */
export class SendWindow {
  available: number;

  constructor(initial: number = DEFAULT_WINDOW) {
    this.available = initial;
  }

  take(octets: number): void {
    this.available -= octets;
  }

  /** False where the window would exceed 2^31-1: the peer's fault (RFC 9113 §6.9.1). */
  increase(octets: number): boolean {
    this.available += octets;
    return this.available <= MAX_WINDOW;
  }
}

/**
 * How much the peer may still send to us, and when to let it send more.
 *
 * Invariants: `available` + octets received and not yet released + `owed` = `size`; credit is announced once half of the
 * window is owed, so that a small answer costs no WINDOW_UPDATE; the window grows only while its reader keeps up
 * (a whole window released within `GROW_WITHIN`), so a stalled reader is never given more.
 */
export class RecvWindow {
  /** Octets that the peer may send now. */
  available: number;
  /** Octets released by the reader and not yet announced to the peer. */
  private owed = 0;
  /** Octets that the peer may have on the way or lying here, all told. */
  size: number;
  private readonly maximum: number;
  private lastUpdate: number;

  constructor(size: number, maximum: number, now: number) {
    this.available = size;
    this.size = size;
    this.maximum = maximum;
    this.lastUpdate = now;
  }

  /** False where the peer sent more than it may, `slack` included. Nothing may be sent at any time (RFC 9113 §6.9.1). */
  receive(octets: number, slack = 0): boolean {
    this.available -= octets;
    return octets === 0 || this.available + slack >= 0;
  }

  /** The reader has accepted octets; the window may grow by `room`. Returns the increment to announce now, or 0. */
  release(octets: number, now: number, room = Number.POSITIVE_INFINITY): number {
    this.owed += octets;
    if (this.owed * 2 < this.size) return 0;
    let increment = this.owed;
    if (this.size < this.maximum && now - this.lastUpdate < GROW_WITHIN) {
      const growth = Math.min(this.size, this.maximum - this.size, room);
      increment += growth;
      this.size += growth;
    }
    this.lastUpdate = now;
    this.available += increment;
    this.owed = 0;
    return increment;
  }

  /** Whether every octet received has been released. For tests of leaks. */
  get whole(): boolean {
    return this.available + this.owed === this.size;
  }
}

/** Half a window in less than this many milliseconds means that the window, not the reader, limits the stream. */
const GROW_WITHIN = 50;
