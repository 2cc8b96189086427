import type { Clock, Timer } from "../../src/core/clock.ts";

interface Armed {
  readonly at: number;
  readonly task: () => void;
}

/** A clock that stands still until it is told to move. */
export class ManualClock implements Clock {
  private time = 0;
  private offset: number;
  private readonly timers = new Set<Armed>();

  /** `wall`: what the wall clock says at the beginning, in milliseconds since the Unix epoch. */
  constructor(wall = Date.UTC(2030, 0, 1)) {
    this.offset = wall;
  }

  /** How many timers are pending. */
  get armed(): number {
    return this.timers.size;
  }

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.time + this.offset;
  }

  setTimer(ms: number, task: () => void): Timer {
    const timer = { at: this.time + Math.max(0, ms), task };
    this.timers.add(timer);
    return { cancel: () => this.timers.delete(timer) };
  }

  /** Moves on by `ms`, running what is due in its order; what that arms and is due runs too. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (let next = this.due(end); next !== undefined; next = this.due(end)) {
      this.timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.task();
    }
    this.time = end;
  }

  /** Sets the wall clock forward or back without letting time pass, as an administrator or NTP does. */
  setWall(wall: number): void {
    this.offset = wall - this.time;
  }

  private due(end: number): Armed | undefined {
    let first: Armed | undefined;
    for (const timer of this.timers) {
      if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}
