import type { Tracer } from "../observability/tracing/tracer.ts";
import type { Filter } from "./filter.ts";

/** Finds the trace that a call is a part of, and at its end has its spans made. */
export function tracing(tracer: Tracer): Filter {
  return {
    name: "tracing",
    onRequest(call) {
      tracer.begin(call);
      return undefined;
    },
    onFinish(call, outcome) {
      tracer.finish(call, outcome);
    },
  };
}
