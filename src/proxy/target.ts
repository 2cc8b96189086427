import type { Cluster } from "../cluster/cluster.ts";
import type { FilterChain } from "../filters/chain.ts";
import { type Call, type Failure, failure } from "../http/call.ts";
import type { HeadEdit } from "../http/field-edits.ts";
import type { CallBandwidth } from "../limits/bandwidth/limits.ts";
import type { UpstreamSeries } from "../observability/upstream-series.ts";
import type { Breakers } from "./breakers.ts";
import type { Mirror } from "./mirror.ts";
import type { RetryPolicy } from "./retry/policy.ts";
import type { StreamAgePolicy } from "./stream-age.ts";

/** How an upstream speaks to whose calls take a whole connection. */
export interface SocketTarget {
  readonly protocol: "http1" | "tcp";
  /** Milliseconds in which a connection may carry nothing. */
  readonly idle: number;
}

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
  readonly response?: HeadEdit | undefined;
  readonly mirror?: Mirror | undefined;
  /** How many octets of its calls may pass; undefined: all. */
  readonly bandwidth?: CallBandwidth | undefined;
  /** Milliseconds that a call may be without anything of it moving; undefined: as many as it likes. */
  readonly idleTimeout?: number | undefined;
  /** Streams that are ended after a while, to be opened again elsewhere; undefined: none. */
  readonly streams?: StreamAgePolicy | undefined;
  /** Says for each of its calls where it goes in the end; undefined: to the cluster. */
  readonly onward?: Onward | undefined;
  /** Whether callers over HTTP/2 are told that they may open WebSockets; of the application only. */
  readonly takesWebSockets?: boolean | undefined;
  /** Undefined: it speaks HTTP/2. */
  readonly sockets?: SocketTarget | undefined;
  /** Where calls go while its circuit breaker is open. */
  readonly fallback?: (() => Target | undefined) | undefined;
}

/** Where an attempt is made, without the policies that see the call before. */
export type Destination = Pick<Target, "name" | "cluster" | "breakers" | "bandwidth">;

/** What becomes of a call: it has a target, it fails, or it waits for one of the two. */
export type Resolution =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** `again` is called once when asking again helps, unless what this returns was called before. */
  | {
      readonly kind: "wait";
      /** What for: `its name to be looked up`. */
      readonly what: string;
      /** Why it still does, for people. */
      readonly why: () => string;
      readonly settle: (again: () => void) => () => void;
    };

/** How a discovery source routes the calls of an upstream. */
export interface Onward {
  /** `base`: the target that is to be resolved, under what a route of the configuration says of it. */
  resolve(call: Call, base: Target): Resolution;
}

/** Where a call goes in the end, for one that does not wait to hear it; undefined: nowhere yet. */
export function resolved(call: Call, target: Target | undefined): Target | undefined {
  if (target?.onward === undefined) return target;
  const found = target.onward.resolve(call, target);
  return found.kind === "target" ? found.target : undefined;
}

/**
 * What a call comes to that is not in its target's protocol: nobody translates, save for a WebSocket over HTTP/2, which an upstream of
 * HTTP/1.1 is asked for by an upgrade. Undefined where it is.
 */
export function mismatch({ protocol, webSocket }: Call, { name, sockets }: Target): Resolution | undefined {
  const spoken = sockets?.protocol ?? "http2";
  if (spoken === protocol || (webSocket && spoken === "http1")) return undefined;
  return { kind: "failed", failure: failure("PROTOCOL", `${name} speaks ${spoken}, and this is ${protocol}`) };
}

/** Says where a call goes: when it begins, and again where that came to an end while the call waited. */
export interface Router {
  /** Whom a call is for does not depend on what it says. */
  readonly isFixed?: boolean;
  resolve(call: Call): Resolution;
}

/** Answers to what has no target; their calls are counted under no upstream's name. */
export interface Unrouted {
  readonly filters: FilterChain;
  readonly series: UpstreamSeries;
}
