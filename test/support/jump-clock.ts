import type { Clock, Timer } from "../../src/core/clock.ts";

interface Armed {
  readonly due: number;
  readonly task: () => void;
  handle: NodeJS.Timeout;
  readonly from: string;
}

/**
 * The real clock, for tests over real sockets, with two additions: time can be moved on by hand, so that nobody waits ten
 * seconds for a patience of ten seconds, and timers that are armed are known.
 */
export class JumpClock implements Clock {
  private shift = 0;
  private readonly armed = new Set<Armed>();

  now(): number {
    return performance.now() + this.shift;
  }

  wall(): number {
    return Date.now() + this.shift;
  }

  setTimer(ms: number, task: () => void): Timer {
    const due = this.now() + ms;
    const from = new Error("armed").stack ?? "";
    const armed: Armed = { due, task, from, handle: this.arm(ms, () => this.run(armed)) };
    this.armed.add(armed);
    return {
      cancel: () => {
        clearTimeout(armed.handle);
        this.armed.delete(armed);
      },
    };
  }

  /** Moves on; timers that have come due run, the earliest first. */
  jump(ms: number): void {
    this.shift += ms;
    const now = this.now();
    for (const armed of [...this.armed].sort((one, other) => one.due - other.due)) {
      if (!this.armed.has(armed)) continue;
      clearTimeout(armed.handle);
      if (armed.due <= now) this.run(armed);
      else armed.handle = this.arm(armed.due - now, () => this.run(armed));
    }
  }

  /** Moves on as for a process that is busy: what has come due runs when its time has come on the real clock. */
  slip(ms: number): void {
    this.shift += ms;
  }

  /** Where the timers that are armed were armed: leaks, where nothing should run any more. */
  get pending(): string[] {
    return [...this.armed].map(({ from }) => from);
  }

  private run(armed: Armed): void {
    this.armed.delete(armed);
    armed.task();
  }

  private arm(ms: number, task: () => void): NodeJS.Timeout {
    return setTimeout(task, Math.max(0, ms)).unref();
  }
}
