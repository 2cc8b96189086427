import type { Clock, Timer } from "./clock.ts";

/** Tells once nothing has been noticed for a while; noticing costs no timer. */
export class IdleWatch {
  private readonly clock: Clock;
  private readonly idle: number;
  private readonly tell: () => void;
  private lastAt: number;
  private timer: Timer | undefined = undefined;

  /** `idle`: milliseconds. */
  constructor(clock: Clock, idle: number, tell: () => void) {
    this.clock = clock;
    this.idle = idle;
    this.tell = tell;
    this.lastAt = clock.now();
    this.timer = clock.setTimer(idle, () => this.look());
  }

  /** Something has been noticed. */
  touch(): void {
    this.lastAt = this.clock.now();
  }

  /** Idempotent. */
  stop(): void {
    this.timer?.cancel();
  }

  private look(): void {
    const left = this.lastAt + this.idle - this.clock.now();
    if (left <= 0) this.tell();
    else this.timer = this.clock.setTimer(left, () => this.look());
  }
}
