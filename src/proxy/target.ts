import type { Cluster } from "../cluster/cluster.ts";
import type { FilterChain } from "../filters/chain.ts";
import type { Call, Failure } from "../http/call.ts";
import type { FieldEdits } from "../http/field-edits.ts";
import type { UpstreamSeries } from "../observability/upstream-series.ts";
import type { Breakers } from "./breakers.ts";
import type { Mirror } from "./mirror.ts";
import type { RetryPolicy } from "./retry-policy.ts";

/** Where calls of one upstream go and what happens to them on the way. Composed once a configuration, not once a call. */
export interface Target {
  readonly name: string;
  readonly cluster: Cluster;
  readonly filters: FilterChain;
  readonly series: UpstreamSeries;
  /** When and how calls are made again; undefined: only where the application provably has not seen them. */
  readonly retry?: RetryPolicy | undefined;
  readonly breakers?: Breakers | undefined;
  /** What is done to the head of an answer, for calls of a route. */
  readonly response?: FieldEdits | undefined;
  readonly mirror?: Mirror | undefined;
  /** Where calls go while its circuit breaker is open. */
  readonly fallback?: (() => Target | undefined) | undefined;
}

/** Where an attempt is made, without the policies that see the call before. */
export type Destination = Pick<Target, "name" | "cluster" | "breakers">;

/** What becomes of a call: it has a target, it fails, or it waits for one of the two. */
export type Resolution =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** `again` is called once when asking again helps, unless what this returns was called before. */
  | { readonly kind: "wait"; readonly settle: (again: () => void) => () => void };

/** Says where a call goes: when it begins, and again where that came to an end while the call waited. */
export interface Router {
  resolve(call: Call): Resolution;
}

/** Answers to what has no target; their calls are counted under no upstream's name. */
export interface Unrouted {
  readonly filters: FilterChain;
  readonly series: UpstreamSeries;
}
