/** Seconds that the budget looks back. */
const WINDOW = 10;
/** Further attempts in the window that are allowed however few calls there were. */
const ALWAYS = 100;

/** A sum over the last ten seconds, second by second. */
class RollingCount {
  private readonly seconds = new Uint32Array(WINDOW);
  private last = 0;
  sum = 0;

  add(second: number): void {
    this.turn(second);
    const at = second % WINDOW;
    this.seconds[at] = (this.seconds[at] ?? 0) + 1;
    this.sum++;
  }

  turn(second: number): void {
    if (second === this.last) return;
    const from = Math.max(this.last + 1, second - WINDOW + 1);
    for (let at = from; at <= second; at++) {
      this.sum -= this.seconds[at % WINDOW] ?? 0;
      this.seconds[at % WINDOW] = 0;
    }
    this.last = second;
  }
}

/**
 * How many further attempts the calls of an upstream may make: a share of the calls of the last ten seconds, and a hundred in any
 * case. Without it every call of a service that is down is three, and it does not come up again.
 */
export class RetryBudget {
  private readonly calls = new RollingCount();
  private readonly retries = new RollingCount();

  /** A call that may be made again begins. `now`: milliseconds of the clock. */
  call(now: number): void {
    this.calls.add(Math.floor(now / 1000));
  }

  /** Takes one further attempt, where there are fewer than `share` of the calls. */
  take(share: number, now: number): boolean {
    const second = Math.floor(now / 1000);
    this.calls.turn(second);
    this.retries.turn(second);
    if (this.retries.sum >= this.allowed(share)) return false;
    this.retries.add(second);
    return true;
  }

  /** What there is of it, for people. */
  state(share: number, now: number): { readonly used: number; readonly allowed: number } {
    const second = Math.floor(now / 1000);
    this.calls.turn(second);
    this.retries.turn(second);
    return { used: this.retries.sum, allowed: this.allowed(share) };
  }

  private allowed(share: number): number {
    return Math.max(ALWAYS, Math.floor(this.calls.sum * share));
  }
}
