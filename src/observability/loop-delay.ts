import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";

const percentiles = [50, 90, 99, 100] as const;

/** Least milliseconds between two beginnings of what is looked at, so that several who scrape see about the same. */
const WINDOW = 10_000;
/** Nanoseconds in a second. */
const NANO = 1e9;

/**
 * How long turns of this thread's event loop were at work: what a call may have had to wait for its own turn. Node takes one
 * sample a turn by itself, without a timer, so an idle process is not woken for it.
 */
export function registerLoopDelay(registry: Registry, clock: Clock): void {
  const turns = monitorEventLoopDelay({ samplePerIteration: true });
  turns.enable();
  let since = clock.now();
  new Gauge({
    name: "outrigger_event_loop_delay_seconds",
    help: "How long turns of the event loop were at work in the last 10 s, or since the last scrape: what calls waited for their turn. 100: the longest.",
    labelNames: ["percentile"],
    registers: [registry],
    collect() {
      for (const percentile of percentiles)
        this.set({ percentile }, turns.count === 0 ? 0 : turns.percentile(percentile) / NANO);
      if (clock.now() - since < WINDOW) return;
      since = clock.now();
      turns.reset();
    },
  });
}
