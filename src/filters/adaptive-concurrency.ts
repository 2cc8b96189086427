import type { ConcurrencyLimit } from "../limits/concurrency-limit.ts";
import type { Filter } from "./filter.ts";

/** Refuses calls beyond what the called side can do at once, as learned from their latency. */
export function adaptiveConcurrency(limit: ConcurrencyLimit): Filter {
  return {
    name: "adaptiveConcurrency",
    onRequest: (call) => limit.enter(call),
    onFinish(call, outcome) {
      const { place } = call;
      if (place === undefined) return;
      call.place = undefined;
      place.giveBack(call, outcome);
    },
  };
}
