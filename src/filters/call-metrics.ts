import type { UpstreamSeries } from "../observability/upstream-series.ts";
import type { Filter } from "./filter.ts";

/** Counts every call of an upstream once: when it begins, and when it ends with the outcome that the log sees too. */
export function callMetrics(series: UpstreamSeries): Filter {
  return {
    name: "callMetrics",
    onRequest() {
      series.started();
      return undefined;
    },
    onFinish(call, outcome, now) {
      series.finished(call.path, outcome.status, outcome.reason, outcome.origin, now - call.startedAt);
    },
  };
}
