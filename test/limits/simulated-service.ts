import type { AdaptiveLimit } from "../../src/limits/adaptive-limit.ts";
import { FakeClock } from "../support/clock.ts";

/** A service that does `slots` calls at once, each in `time` milliseconds; others wait for a slot, in their order. */
export class SimulatedService {
  readonly clock = new FakeClock();
  slots: number;
  time: number;
  private readonly limit: AdaptiveLimit;
  /** Milliseconds by which calls take longer now: the machine has other things to do. */
  delay: () => number = () => 0;
  private busy = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(limit: AdaptiveLimit, slots: number, time: number) {
    this.limit = limit;
    this.slots = slots;
    this.time = time;
  }

  /** Offers `rate` calls a second for so many milliseconds, evenly; how many were answered, and how long they took. */
  offer(rate: number, ms: number, admit: () => boolean = () => this.limit.inFlight < this.limit.limit): Offered {
    const result: Offered = { offered: 0, refused: 0, latencies: [] };
    const end = this.clock.now() + ms;
    for (let at = this.clock.now(); at < end; at += 1000 / rate) {
      this.clock.advance(at - this.clock.now());
      result.offered++;
      if (!admit()) result.refused++;
      else this.call(result);
    }
    this.clock.advance(Math.max(0, end - this.clock.now()));
    return result;
  }

  private call(result: Offered): void {
    const began = this.clock.now();
    this.limit.enter();
    this.run(() => {
      const latency = this.clock.now() - began;
      result.latencies.push(latency);
      this.limit.leave(this.clock.now(), latency, false);
    });
  }

  private run(done: () => void): void {
    if (this.busy >= this.slots) {
      this.waiting.push(() => this.run(done));
      return;
    }
    this.busy++;
    this.clock.setTimer(this.time + this.delay(), () => {
      this.busy--;
      done();
      this.waiting.shift()?.();
    });
  }
}

export interface Offered {
  offered: number;
  refused: number;
  readonly latencies: number[];
}

/** The value below which such a share of all is. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
