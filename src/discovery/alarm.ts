import type { Clock } from "../core/clock.ts";

/**
 * A wait of one loop that others may end early.
 *
 * Invariants: one waiter at a time; a ring while nobody waits ends the next wait at once, so that no ring is lost
 * between two waits.
 */
export class Alarm {
  private readonly clock: Clock;
  private rung = false;
  private wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Resolves after `ms` milliseconds, or as soon as it rings. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(ms, () => this.end());
      this.wake = () => {
        timer.cancel();
        resolve();
      };
      if (this.rung) this.end();
    });
  }

  ring(): void {
    this.rung = true;
    if (this.wake !== undefined) this.end();
  }

  private end(): void {
    this.rung = false;
    const wake = this.wake;
    this.wake = undefined;
    wake?.();
  }
}
