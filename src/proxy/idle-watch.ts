import type { Deadline, Deadlines } from "../core/deadlines.ts";

/** Notices that nothing has moved for a while. What moves costs a look at the clock, and no timer. */
export class IdleWatch {
  private readonly deadlines: Deadlines;
  private readonly time: { now(): number };
  private readonly timeout: number;
  private readonly expire: () => void;
  private movedAt: number;
  private deadline: Deadline;

  /** `timeout`: milliseconds. `time`: milliseconds of the clock. `expire` is called once, unless it is stopped before. */
  constructor(deadlines: Deadlines, time: { now(): number }, timeout: number, expire: () => void) {
    this.deadlines = deadlines;
    this.time = time;
    this.timeout = timeout;
    this.expire = expire;
    this.movedAt = time.now();
    this.deadline = this.arm();
  }

  moved(): void {
    this.movedAt = this.time.now();
  }

  /** Idempotent. */
  stop(): void {
    this.deadlines.disarm(this.deadline);
  }

  private arm(): Deadline {
    return this.deadlines.arm(this.movedAt + this.timeout, () => {
      if (this.movedAt + this.timeout <= this.time.now()) this.expire();
      else this.deadline = this.arm();
    });
  }
}
