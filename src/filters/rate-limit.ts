import type { LimitGroup } from "../limits/limit-group.ts";
import type { Filter } from "./filter.ts";

/** Refuses calls over the configured rates: at once, unless a rate limit service has to be asked. */
export function rateLimit(limits: LimitGroup): Filter {
  return { name: "rateLimit", onRequest: (call) => limits.check(call) };
}
