import type { Direction } from "../http/reason.ts";
import { ConcurrencyLimit, type ConcurrencyOptions } from "./concurrency-limit.ts";

/** The learned limits of the application and of every upstream that has one. They outlive reloads. */
export class ConcurrencyLimits {
  private readonly now: () => number;
  private readonly random: () => number;
  private readonly limits: Readonly<Record<Direction, Map<string, ConcurrencyLimit>>> = {
    inbound: new Map(),
    outbound: new Map(),
  };

  /** `now`: milliseconds of the clock. */
  constructor(now: () => number, random: () => number) {
    this.now = now;
    this.random = random;
  }

  /** The same object each time until its upstream is configured no more. */
  of(direction: Direction, name: string): ConcurrencyLimit {
    const known = this.limits[direction].get(name);
    if (known !== undefined) return known;
    const made = new ConcurrencyLimit(name, this.now, this.random);
    this.limits[direction].set(name, made);
    return made;
  }

  /** Goes over to other settings, by name. */
  apply(direction: Direction, settings: ReadonlyMap<string, ConcurrencyOptions | undefined>): void {
    for (const [name, limit] of this.limits[direction]) {
      if (settings.has(name)) continue;
      limit.change(undefined);
      this.limits[direction].delete(name);
    }
    for (const [name, options] of settings) this.of(direction, name).change(options);
  }

  /** Those that are configured. */
  *all(): IterableIterator<{ readonly direction: Direction; readonly limit: ConcurrencyLimit }> {
    for (const direction of ["inbound", "outbound"] as const)
      for (const limit of this.limits[direction].values()) if (limit.options !== undefined) yield { direction, limit };
  }
}
