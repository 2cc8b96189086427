import type { ConcurrencyLimit } from "../limits/concurrency-limit.ts";
import type { LimitGroup } from "../limits/limit-group.ts";
import type { Overload } from "../limits/overload/overload.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { Tracer } from "../observability/tracing/tracer.ts";
import type { UpstreamSeries } from "../observability/upstream-series.ts";
import { accessLog } from "./access-log.ts";
import { adaptiveConcurrency } from "./adaptive-concurrency.ts";
import { type AdmissionControl, admissionControl } from "./admission-control.ts";
import { type Authorization, authorize } from "./authorization.ts";
import { type CallLimit, callLimit } from "./call-limit.ts";
import { callMetrics } from "./call-metrics.ts";
import { FilterChain } from "./chain.ts";
import { callerDeadline, policyDeadline } from "./deadline.ts";
import { askExternally, type ExternalAuthorization } from "./external/external-authorization.ts";
import { type Faults, faultInjection } from "./faults.ts";
import { type HopelessCalls, refuseHopeless } from "./hopeless.ts";
import { type Tokens, verifyTokens } from "./jwt/tokens.ts";
import { shedOverload } from "./overload.ts";
import { rateLimit } from "./rate-limit.ts";
import { tracing } from "./tracing.ts";

/** What the filters of an upstream's calls are made of. */
export interface RouteFilterOptions {
  readonly series: UpstreamSeries;
  readonly accessLog: AccessLog;
  readonly tracer: Tracer | undefined;
  /** Milliseconds, from `upstreams.NAME.timeout`. */
  readonly timeout: number | undefined;
  /** The learned limit of the upstream, where it has one. */
  readonly concurrency: ConcurrencyLimit | undefined;
  /** What the thread does while it is overloaded. */
  readonly overload?: Overload | undefined;
  /** From `upstreams.NAME.admissionControl`. */
  readonly admission?: AdmissionControl | undefined;
  /** From `upstreams.NAME.limits`. */
  readonly calls?: CallLimit | undefined;
  /** The rate limits of the direction. */
  readonly rates: LimitGroup | undefined;
  /** Who calls by tokens; inbound only. */
  readonly tokens?: Tokens | undefined;
  /** Who may call; inbound only. */
  readonly authorization?: Authorization | undefined;
  readonly external?: ExternalAuthorization | undefined;
  readonly faults?: Faults | undefined;
  readonly hopeless?: HopelessCalls | undefined;
}

/** The filters of a route, in the order in which they see a call. */
export function routeFilters({
  admission,
  calls,
  series,
  accessLog: log,
  tracer,
  overload,
  timeout,
  concurrency,
  rates,
  tokens,
  authorization,
  external,
  faults,
  hopeless,
}: RouteFilterOptions): FilterChain {
  return new FilterChain([
    // First, so that the others know the trace.
    ...(tracer === undefined ? [] : [tracing(tracer)]),
    // Before any that refuses, so that a call that is refused is counted as well.
    callMetrics(series),
    accessLog(log),
    // Before all that costs anything: it is there to spare that.
    ...(overload === undefined
      ? []
      : [shedOverload(overload, () => overload.options.criticality ?? concurrency?.options?.criticality)]),
    // What the caller asked for, before a policy may shorten it.
    callerDeadline,
    ...(timeout === undefined ? [] : [policyDeadline(timeout)]),
    // Before the rules, which may ask what a token says; what only this sidecar says of one is taken away from every call.
    ...(tokens === undefined ? [] : [verifyTokens(tokens)]),
    // Before all that holds a call, charges it, or answers it: who may not call learns nothing and costs nothing.
    ...(authorization === undefined ? [] : [authorize(authorization)]),
    // After the rules: about a call that they refuse nobody has to be asked.
    ...(external === undefined ? [] : [askExternally(external)]),
    // A fault stands for the upstream's: it is behind what is said of the call, and before what decides by how it goes.
    ...(faults === undefined ? [] : [faultInjection(faults)]),
    // After both deadlines: by the shorter one.
    ...(hopeless === undefined ? [] : [refuseHopeless(hopeless)]),
    // Before the line: a call that is refused is not to wait first.
    ...(admission === undefined ? [] : [admissionControl(admission)]),
    // Before what is charged, after the deadline: a call waits in its line no longer than its caller does.
    ...(calls === undefined ? [] : [callLimit(calls)]),
    // Before the rate limits: a call that is shed is not charged.
    ...(concurrency === undefined ? [] : [adaptiveConcurrency(concurrency)]),
    // Last of those that refuse: a call that is refused for something else is not charged.
    ...(rates === undefined ? [] : [rateLimit(rates)]),
  ]);
}

/** For calls that reach no route: they are counted and logged, and nothing else. */
export function unroutedFilters({
  series,
  accessLog: log,
  tracer,
}: Pick<RouteFilterOptions, "series" | "accessLog" | "tracer">): FilterChain {
  return new FilterChain([...(tracer === undefined ? [] : [tracing(tracer)]), callMetrics(series), accessLog(log)]);
}
