/** Calls in a millisecond from which on turns are paced: with fewer, a pause would collect too little to be worth its latency. */
const BUSY = 5;
/** Milliseconds at least from the beginning of a paced turn to the next one's. */
const SPACING = 0.3;
/** Milliseconds over which calls are counted: long enough that some which come together are not taken for many. */
const SPAN = 10;

/**
 * Lets a thread that has many calls begin its turns of the event loop no closer than `SPACING` apart, as network cards do with
 * their interrupts: what has come meanwhile is read and written together. Else each call wakes the thread by itself, and
 * waking, one small read and one small write cost several times what is done about the call; so they do in the peers.
 *
 * A turn that is at work for longer than that is followed by the next one at once: the capacity of a thread is never less.
 */
export class Pacing {
  private readonly rest: (ms: number) => void;
  private calls = 0;
  private since = 0;
  private paced = false;
  private began = 0;

  /** `rest` has the thread sleep for so many milliseconds. */
  constructor(rest: (ms: number) => void) {
    this.rest = rest;
  }

  /** A call has come in. */
  count(): void {
    this.calls++;
  }

  /** All is done in a turn, at this time. `idle`: nothing is left that could be done at once. */
  endTurn(now: number, idle: boolean): void {
    const span = now - this.since;
    if (span >= SPAN) {
      this.paced = this.calls >= BUSY * span;
      this.calls = 0;
      this.since = now;
    }
    const ms = this.paced && idle ? Math.min(SPACING, this.began + SPACING - now) : 0;
    if (ms > 0) this.rest(ms);
    this.began = now + Math.max(0, ms);
  }
}
