import type { Timer, Timers } from "./clock.ts";

/** Notices that nothing has moved for a while. What moves costs a look at the time, and no timer. */
export class IdleWatch {
  private readonly timers: Timers;
  private readonly timeout: number;
  private readonly expire: () => void;
  private movedAt: number;
  private timer: Timer;

  /** `timeout`: milliseconds. `expire` is called once, unless it is stopped before. */
  constructor(timers: Timers, timeout: number, expire: () => void) {
    this.timers = timers;
    this.timeout = timeout;
    this.expire = expire;
    this.movedAt = timers.now();
    this.timer = timers.setTimer(timeout, () => this.look());
  }

  moved(): void {
    this.movedAt = this.timers.now();
  }

  /** Idempotent. */
  stop(): void {
    this.timer.cancel();
  }

  private look(): void {
    const left = this.movedAt + this.timeout - this.timers.now();
    if (left <= 0) this.expire();
    else this.timer = this.timers.setTimer(left, () => this.look());
  }
}
