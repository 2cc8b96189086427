import type { Endpoint } from "./endpoint.ts";
import type { ConnectionStats } from "./pool/pool.ts";
import type { SlowStartSettings } from "./slow-start.ts";
import { isWarming } from "./weights.ts";

/** What keeps an endpoint from its whole share of calls; the first that applies. */
export type Condition =
  | "up"
  | "slowStart"
  | "limited"
  | "unreachable"
  | "unhealthy"
  | "ejected"
  | "halfOpen"
  | "leaving";

/** One endpoint, as people see it. Times are wall-clock milliseconds. */
export interface EndpointStats {
  readonly id: string;
  readonly address: string;
  readonly state: Condition;
  /** What discovery says. */
  readonly weight: number;
  /** What is due to it now: weight, load reports, refusals and slow start together. */
  readonly effectiveWeight: number;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
  readonly inFlight: number;
  readonly selected: number;
  readonly failures: number;
  readonly waiting: number;
  readonly connections: readonly ConnectionStats[];
  readonly lastError: string | undefined;
  /** Why its active checks say that it is ill. */
  readonly unhealthy: { readonly since: number; readonly detail: string } | undefined;
  /** Why it gets no calls by how calls ended; `until` is undefined once a call may try it. */
  readonly ejected:
    | {
        readonly cause: string;
        readonly detail: string;
        readonly since: number;
        readonly until: number | undefined;
        readonly times: number;
      }
    | undefined;
}

/** The one word for an endpoint's state, the gravest first. `now`: milliseconds of the clock. */
export function conditionOf(endpoint: Endpoint, slowStart: SlowStartSettings | undefined, now: number): Condition {
  const { state, checked, outlier } = endpoint;
  if (state.kind !== "up") return state.kind;
  if (checked.kind === "unhealthy") return "unhealthy";
  if (outlier.state.kind !== "in") return outlier.state.kind;
  if ((endpoint.bias?.at(now) ?? 1) < 1) return "limited";
  return isWarming(endpoint, slowStart, now) ? "slowStart" : "up";
}

/** Everything that people see of an endpoint. `now`: milliseconds of the clock. */
export function statsOf(endpoint: Endpoint, slowStart: SlowStartSettings | undefined, now: number): EndpointStats {
  const { checked, outlier, pool, spec } = endpoint;
  const { state } = outlier;
  return {
    id: endpoint.id,
    address: endpoint.label,
    state: conditionOf(endpoint, slowStart, now),
    weight: spec.weight,
    effectiveWeight: endpoint.weight,
    zone: endpoint.zone,
    meta: endpoint.meta,
    inFlight: endpoint.inFlight,
    selected: endpoint.selected,
    failures: endpoint.failures,
    waiting: pool.waiting,
    connections: pool.connections(),
    lastError: endpoint.lastError?.message,
    unhealthy: checked.kind === "unhealthy" ? { since: checked.since, detail: checked.detail } : undefined,
    ejected:
      state.kind === "in"
        ? undefined
        : {
            cause: state.cause,
            detail: state.detail,
            since: state.since,
            until: state.kind === "ejected" ? state.until : undefined,
            times: outlier.times,
          },
  };
}
