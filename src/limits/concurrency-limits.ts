import type { Direction } from "../http/reason.ts";
import { ConcurrencyLimit, type ConcurrencyOptions } from "./concurrency-limit.ts";
import { UpstreamLimits } from "./upstream-limits.ts";

/** The learned limits of the application and of every upstream that has one. They outlive reloads. */
export class ConcurrencyLimits extends UpstreamLimits<ConcurrencyOptions, ConcurrencyLimit> {
  /** `now`: milliseconds of the clock. */
  constructor(now: () => number, random: () => number) {
    super((name) => new ConcurrencyLimit(name, now, random));
  }

  /** Those that are configured. */
  *all(): IterableIterator<{ readonly direction: Direction; readonly limit: ConcurrencyLimit }> {
    for (const { direction, limit } of this.known()) if (limit.options !== undefined) yield { direction, limit };
  }
}
