import { totalmem } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { Timers } from "../../core/clock.ts";
import type { OverloadResource } from "./options.ts";

/** Something of which there is only so much. */
export interface Resource {
  /** What there is of it, where nobody says; undefined: not known. */
  readonly limit: number | undefined;
  readonly unit: "octets" | "milliseconds";
  /** How much is used. Asked once an interval. */
  read(): number;
  /** It is not asked any more, or not for a while. */
  rest?(): void;
}

/** All that can be watched. */
export type Resources = { readonly [name in OverloadResource]: Resource };

/** What this process and this thread use of the machine. Asking for all of it takes some 10 µs. */
export function systemResources(clock: Pick<Timers, "now">): Resources {
  return {
    memory: { limit: containerMemory(), unit: "octets", read: () => process.memoryUsage.rss() },
    heap: {
      limit: getHeapStatistics().heap_size_limit,
      unit: "octets",
      read: () => getHeapStatistics().used_heap_size,
    },
    loopDelay: new LoopDelay(clock),
  };
}

/** The limit of the control group of this process; undefined where it may have all that the machine has, and share it. */
function containerMemory(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** Nanoseconds in a millisecond. */
const NANO = 1e6;

/**
 * How long a call that comes at any moment waits for its turn of this thread's event loop: on average, over the time since the last
 * look. A turn of length `t` is met with a probability of `t / elapsed` and has half of it left, so that it is the sum of all
 * `t² / 2`, over the time elapsed: one long turn now and then counts for little, a loop that has nothing but long turns for all of it.
 */
export class LoopDelay implements Resource {
  readonly limit = undefined;
  readonly unit = "milliseconds";
  private readonly clock: Pick<Timers, "now">;
  /** Node takes one sample a turn by itself, without a timer; only while somebody looks. */
  private turns: ReturnType<typeof monitorEventLoopDelay> | undefined = undefined;
  private since = 0;

  constructor(clock: Pick<Timers, "now">) {
    this.clock = clock;
  }

  read(): number {
    const now = this.clock.now();
    const elapsed = now - this.since;
    this.since = now;
    if (this.turns === undefined) {
      this.turns = monitorEventLoopDelay({ samplePerIteration: true });
      this.turns.enable();
      return 0;
    }
    const { count, mean, stddev } = this.turns;
    this.turns.reset();
    return count === 0 || elapsed <= 0 ? 0 : meanWait(count, mean / NANO, stddev / NANO, elapsed);
  }

  rest(): void {
    this.turns?.disable();
    this.turns = undefined;
  }
}

/** By the number of turns, their mean length and its standard deviation. */
function meanWait(count: number, mean: number, deviation: number, elapsed: number): number {
  return (count * (mean * mean + deviation * deviation)) / (2 * elapsed);
}
