import type { UpstreamSeries } from "../observability/upstream-series.ts";
import type { Filter } from "./filter.ts";

/** Counts every call of an upstream once: when it begins, and when it ends with the outcome that the log sees too. */
export function callMetrics(series: UpstreamSeries): Filter {
  return {
    name: "callMetrics",
    onRequest(call) {
      series.started();
      const meter = series.meterOf(call.path, call.label);
      if (meter === undefined) return undefined;
      call.meter = meter;
      meter.started++;
      return undefined;
    },
    onFinish(call, outcome, now) {
      const { status, reason, origin, detail } = outcome;
      const ms = now - call.startedAt;
      const exemplar = call.trace?.sampled === true ? { traceId: call.trace.traceId, ms, at: now } : undefined;
      const { label, path, grpc } = call;
      const isAnswered = (grpc || label !== undefined) && detail === undefined;
      series.finished(label ?? path, status, reason, origin, ms, isAnswered, exemplar);
      call.meter?.finished(call, outcome, ms);
    },
  };
}
