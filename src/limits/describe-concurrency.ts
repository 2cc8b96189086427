import type { Direction } from "../http/reason.ts";
import type { ConcurrencyLimits } from "./concurrency-limits.ts";

/** A learned limit and its state, for people. */
export interface ConcurrencyDescription {
  readonly direction: Direction;
  readonly upstream: string;
  /** null: all calls of the upstream. */
  readonly method: string | null;
  readonly limit: number;
  readonly inFlight: number;
  readonly refused: number;
  readonly why: string;
}

/** Every learned limit as people see it. */
export function* describeConcurrency(limits: ConcurrencyLimits): IterableIterator<ConcurrencyDescription> {
  for (const { direction, limit: upstream } of limits.all())
    for (const { method, limit } of upstream.limits()) {
      const { limit: value, inFlight, refused } = limit;
      const why = limit.explain();
      yield { direction, upstream: upstream.name, method: method ?? null, limit: value, inFlight, refused, why };
    }
}
