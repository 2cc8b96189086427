import type { AccessLog } from "../observability/access-log.ts";
import type { UpstreamSeries } from "../observability/upstream-series.ts";
import { accessLog } from "./access-log.ts";
import { callMetrics } from "./call-metrics.ts";
import { FilterChain } from "./chain.ts";
import { callerDeadline, policyDeadline } from "./deadline.ts";

export interface RouteFilterOptions {
  readonly series: UpstreamSeries;
  readonly accessLog: AccessLog;
  /** Milliseconds, from `upstreams.NAME.timeout`. */
  readonly timeout: number | undefined;
}

/** The filters of a route, in the order in which they see a call. */
export function routeFilters({ series, accessLog: log, timeout }: RouteFilterOptions): FilterChain {
  return new FilterChain([
    // First, so that a call that a later filter refuses is counted as well.
    callMetrics(series),
    accessLog(log),
    // What the caller asked for, before a policy may shorten it.
    callerDeadline,
    ...(timeout === undefined ? [] : [policyDeadline(timeout)]),
  ]);
}

/** For calls that reach no route: they are counted and logged, and nothing else. */
export function unroutedFilters({ series, accessLog: log }: Omit<RouteFilterOptions, "timeout">): FilterChain {
  return new FilterChain([callMetrics(series), accessLog(log)]);
}
