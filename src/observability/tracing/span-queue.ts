import type { Clock, Timer } from "../../core/clock.ts";
import type { SpanRecord } from "./span.ts";

/** Takes spans on their way to a collector. */
export interface SpanExport {
  /** Spans that it would take now without having to drop any. */
  readonly room: number;
  add(span: SpanRecord): void;
  /** Sends what is left; resolves when that is done or given up. */
  close(): Promise<void>;
}

/** Spans that wait: some two seconds at 1,000 recorded calls a second. */
const LONGEST = 2048;
/** Milliseconds between two batches, … */
const PAUSE = 200;
/** … and spans of one: building 256 takes about a millisecond. */
const BATCH = 256;

/**
 * Spans between the calls that they tell of and the exporter, so that a call costs the making of a record and no more, however
 * the collector is. Past its bound spans are dropped and counted.
 */
export class SpanQueue {
  private readonly clock: Clock;
  private waiting: SpanRecord[] = [];
  private timer: Timer | undefined = undefined;
  private out: SpanExport | undefined = undefined;
  dropped = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get length(): number {
    return this.waiting.length;
  }

  add(span: SpanRecord): void {
    if (this.waiting.length >= LONGEST) {
      this.dropped++;
      return;
    }
    this.waiting.push(span);
    this.timer ??= this.clock.setTimer(PAUSE, () => this.pass());
  }

  /** Where spans go from now on; undefined keeps them. */
  set exporter(out: SpanExport | undefined) {
    this.out = out;
  }

  /** Hands over everything that the exporter takes, at once: for the last moment. */
  flush(): void {
    while (this.waiting.length > 0 && this.handOver() > 0);
  }

  private pass(): void {
    this.timer = undefined;
    this.handOver();
    if (this.waiting.length > 0) this.timer = this.clock.setTimer(PAUSE, () => this.pass());
  }

  private handOver(): number {
    const count = Math.min(BATCH, this.out?.room ?? 0, this.waiting.length);
    if (count <= 0) return 0;
    const spans = this.waiting.slice(0, count);
    this.waiting = this.waiting.slice(count);
    for (const span of spans) this.out?.add(span);
    return count;
  }
}
