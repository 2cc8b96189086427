import { QuotaLimit } from "./quota/limit.ts";
import { describePace, RateLimit } from "./rate-limit.ts";
import type { AnyLimit } from "./rate-limits.ts";

/** A limit and its state, for people. */
export interface LimitDescription {
  readonly name: string;
  readonly direction: "inbound" | "outbound";
  readonly mode: "enforce" | "shadow";
  /** null: a service says it. */
  readonly limit: string | null;
  readonly store: "memory" | "redis" | "service" | "quota";
  readonly storeUp: boolean;
  readonly keys: number;
  readonly leased: number;
  readonly refused: number;
}

/** A rate limit as people see it. */
export function describeLimit(limit: AnyLimit): LimitDescription {
  const { name, direction, mode, counted } = limit.options;
  const { refused } = limit;
  const common = { name, direction, mode, store: counted.by, refused };
  if (limit instanceof QuotaLimit)
    return { ...common, limit: null, storeUp: limit.up, keys: limit.table.size, leased: 0 };
  if (!(limit instanceof RateLimit)) return { ...common, limit: null, storeUp: limit.up, keys: 0, leased: 0 };
  return {
    ...common,
    limit: describePace(limit.options.counted),
    storeUp: limit.store?.up ?? true,
    keys: limit.table.size,
    leased: limit.held,
  };
}
