import type { Clock, Timer } from "../../src/core/clock.ts";

interface Pending {
  readonly due: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock that a test moves by hand. Wall-clock time starts at `epoch` and moves along. */
export class FakeClock implements Clock {
  private time = 0;
  private made = 0;
  private readonly timers = new Set<Pending>();
  private readonly epoch: number;

  constructor(epoch = Date.UTC(2030, 0, 1)) {
    this.epoch = epoch;
  }

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.epoch + this.time;
  }

  setTimer(ms: number, task: () => void): Timer {
    const timer: Pending = { due: this.time + Math.max(0, ms), order: this.made++, task };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  /** Timers that are armed: a leak where a test is over. */
  get pending(): number {
    return this.timers.size;
  }

  /** Milliseconds until the next timer runs, or undefined where there is none. */
  get untilNext(): number | undefined {
    const next = this.first(Number.POSITIVE_INFINITY);
    return next === undefined ? undefined : next.due - this.time;
  }

  /** Moves on, running timers in their order, those that they arm included; each sees the time that it was due. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (let timer = this.first(end); timer !== undefined; timer = this.first(end)) {
      this.timers.delete(timer);
      this.time = Math.max(this.time, timer.due);
      timer.task();
    }
    this.time = end;
  }

  /** The same, with all that is waiting in promises and the event loop done before the first timer and after each. */
  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (let timer = this.first(end); timer !== undefined; timer = this.first(end)) {
      this.advance(timer.due - this.time);
      await settled();
    }
    this.advance(end - this.time);
    await settled();
  }

  private first(end: number): Pending | undefined {
    let found: Pending | undefined;
    for (const timer of this.timers) {
      if (timer.due > end) continue;
      if (found === undefined || timer.due < found.due || (timer.due === found.due && timer.order < found.order))
        found = timer;
    }
    return found;
  }
}

/** Lets promises, callbacks and flushes that are due run, a few turns of the event loop deep. */
export async function settled(turns = 8): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
