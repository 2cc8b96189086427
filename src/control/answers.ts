import type { PolicyAnswer } from "../runtime/upstreams/describe-policies.ts";
import type { RoutingAnswer } from "../runtime/upstreams/describe-routing.ts";
/**
 * What admin and probe answer, in the form of the JSON. `docs/admin/` has a JSON Schema of each; a test holds the two together.
 * Dates are ISO 8601 in UTC; what is not known is null, so that every key is always there.
 */

/** Something that the sidecar waits for before it is ready. */
export interface Waiting {
  readonly what: string;
  readonly since: string;
  readonly detail: string;
}

/** `detail`: what is wrong although calls are taken, such as a configuration that was refused. */
export type ReadyAnswer =
  | { readonly ready: true; readonly detail?: string }
  | { readonly ready: false; readonly waiting: readonly Waiting[] };

/** An endpoint in `/clusters`. */
export interface EndpointAnswer {
  readonly address: string;
  /** `up`, `slowStart`, `limited`, `unreachable`, `unhealthy`, `ejected`, `halfOpen`, `leaving`; further words may come. */
  readonly state: string;
  readonly weight: number;
  /** What is due to it now: weight, load reports, refusals and slow start together. */
  readonly effectiveWeight: number;
  readonly zone: string | null;
  readonly meta: Readonly<Record<string, string>>;
  /** Calls under way. */
  readonly inFlight: number;
  readonly connections: number;
  readonly lastError: string | null;
  /** Why it gets no calls although it takes connections. */
  readonly out: OutAnswer | null;
}

/** Why an endpoint gets no calls, in `/clusters`. */
export interface OutAnswer {
  /** `healthCheck`, `consecutiveFailures`, `failurePercentage`, `successRate`. */
  readonly cause: string;
  readonly detail: string;
  readonly since: string;
  /** When a call will be let through; null where that is not a matter of time, or the next call is. */
  readonly until: string | null;
  /** How often it was ejected in a row. */
  readonly times: number;
}

/** A cluster in `/clusters`. */
export interface ClusterAnswer {
  readonly name: string;
  /** The kind of discovery source. */
  readonly source: string;
  /** Since when the source no longer answers; the endpoints are the last ones that it knew. */
  readonly staleSince: string | null;
  readonly balancer: string;
  /** So few endpoints are healthy that health is ignored. */
  readonly panic: boolean;
  /** Upstreams that get the calls for which there is no endpoint here. */
  readonly failover: readonly string[];
  readonly endpoints: readonly EndpointAnswer[];
}

/** A limit of `rateLimits`. */
export interface RateLimitAnswer {
  readonly name: string;
  readonly direction: "inbound" | "outbound";
  readonly mode: "enforce" | "shadow";
  /** Such as `100/s, 200 at once`; null where a service says it. */
  readonly limit: string | null;
  /** `memory`, `redis`, `service` or `quota`. */
  readonly store: string;
  /** Whether the store answered when it was last asked; true for memory. */
  readonly storeUp: boolean;
  /** Keys that are told apart. */
  readonly keys: number;
  /** Calls that are leased of the store and not used yet. */
  readonly leased: number;
  /** Calls that it refused, or in shadow mode would have. */
  readonly refused: number;
}

/** A learned limit of calls that are under way at once. */
export interface ConcurrencyAnswer {
  readonly direction: "inbound" | "outbound";
  readonly upstream: string;
  /** null: all calls of it. */
  readonly method: string | null;
  readonly limit: number;
  /** Calls under way that count. */
  readonly inFlight: number;
  readonly refused: number;
  /** Such as `limit 37: lowest latency 4 ms, now 11 ms`. */
  readonly why: string;
}

/** The service that decides about inbound calls. */
export interface IntentionsAnswer {
  /** How many are in force; null while nobody has said, and no call is let in. */
  readonly count: number | null;
  /** What becomes of callers that none is for, as the agent says. */
  readonly default: "allow" | "deny" | null;
  /** Why there is no newer answer; null while there is. */
  readonly lastError: string | null;
}

/** Tokens (JWT) in `/clusters`. */
export interface TokensAnswer {
  readonly providers: readonly {
    readonly name: string;
    /** Public keys that are known; null before the first answer. */
    readonly keys: number | null;
    readonly lastError: string | null;
  }[];
  /** Calls by what came of their token, as in outrigger_jwt_calls_total. */
  readonly results: Readonly<Record<string, number>>;
}

/** The authorization service in `/clusters`. */
export interface AuthorizationServiceAnswer {
  /** The name of its upstream, or its address. */
  readonly service: string;
  readonly mode: "enforce" | "shadow";
  readonly onFailure: "deny" | "allow";
  /** Whether it answered when it was last asked. */
  readonly up: boolean;
  /** Why it did not; null where it did. */
  readonly lastError: string | null;
  /** Calls that wait for it. */
  readonly inFlight: number;
  /** Calls by what came of asking, as in outrigger_authorization_service_calls_total. */
  readonly results: Readonly<Record<string, number>>;
}

/** What a route mirrors, in `/clusters`. */
export interface MirrorAnswer {
  /** The name of the route. */
  readonly name: string;
  readonly to: string;
  /** In [0, 1]. */
  readonly share: number;
  /** `none`, `status`, `messages` or `metadata`. */
  readonly compare: string;
  /** As in outrigger_mirrored_calls_total. */
  readonly calls: Readonly<Record<string, number>>;
  /** As in outrigger_mirror_comparisons_total; null where nothing is compared. */
  readonly compared: Readonly<Record<string, number>> | null;
}

/** What the sidecar does about its own overload, in `/clusters`. */
export interface OverloadAnswer {
  /** What is watched; with several threads that of the one that is worst off. */
  readonly resources: readonly {
    readonly name: "memory" | "heap" | "loopDelay";
    readonly unit: "octets" | "milliseconds";
    /** How much is used, in that unit. */
    readonly value: number;
    /** The limit. */
    readonly available: number;
    /** The share of the limit that is used. */
    readonly pressure: number;
  }[];
  readonly actions: readonly {
    readonly name: string;
    /** null while it is not taken. */
    readonly since: string | null;
    /** Such as `memory at 96.3% (370 of 384 MiB), refuseOrdinary is from 95%`; null before the first time. */
    readonly why: string | null;
    /** How often it has begun. */
    readonly times: number;
    /** Calls refused, connections asked to go, collections of garbage: what it came to. */
    readonly effects: number;
  }[];
}

/** A limit of bandwidth, in `/clusters`. */
export interface BandwidthAnswer {
  readonly direction: "inbound" | "outbound";
  readonly upstream: string;
  /** Which octets. */
  readonly way: "request" | "response";
  /** Octets that may pass in a second, and at once after a rest. */
  readonly bytesPerSecond: number;
  readonly burst: number;
  /** Calls and connections that wait for their turn. */
  readonly waiting: number;
  /** Octets that have passed, and those of them that had to wait. */
  readonly passed: number;
  readonly delayed: number;
}

/** All of `/clusters`. */
export interface ClustersAnswer {
  readonly clusters: readonly ClusterAnswer[];
  readonly rateLimits: readonly RateLimitAnswer[];
  readonly concurrency: readonly ConcurrencyAnswer[];
  readonly bandwidth: readonly BandwidthAnswer[];
  readonly overload: OverloadAnswer;
  /** Retries, circuit breakers and hard limits of the upstreams that have any. */
  readonly policies: readonly PolicyAnswer[];
  /** null: none is configured. */
  readonly authorizationService: AuthorizationServiceAnswer | null;
  /** null: no intentions count. */
  readonly intentions: IntentionsAnswer | null;
  /** null: tokens are not looked at. */
  readonly tokens: TokensAnswer | null;
  /** Routes that copy calls to another upstream. */
  readonly mirrors: readonly MirrorAnswer[];
  /** How Consul routes the upstreams that it routes. */
  readonly routing: readonly RoutingAnswer[];
}

/** A connection in `/connections`. */
export interface ConnectionAnswer {
  readonly direction: "inbound" | "outbound";
  /** `accepted`: a caller made it; `dialled`: this sidecar did. */
  readonly made: "accepted" | "dialled";
  /** Whose endpoint was dialled; null for callers. */
  readonly upstream: string | null;
  readonly peer: string;
  /** The peer's SPIFFE id, as TLS has verified it; null in plaintext. */
  readonly identity: string | null;
  /** `dialling`, `new` (no word from the peer yet), `open`, `draining` (takes no more calls). */
  readonly state: string;
  readonly streams: number;
  readonly since: string;
  /** When it is too old (`maxAge`) and gets no more calls; null where it does not grow too old, or has. */
  readonly retiresAt: string | null;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** A listener for calls in `/connections`. */
export interface ListenerAnswer {
  readonly name: string;
  readonly connections: number;
  /** Connections that may be open. */
  readonly max: number;
  /** Of one address; null: as many as of all. */
  readonly maxPerSource: number | null;
}

/** All of `/connections`. */
export interface ConnectionsAnswer {
  readonly listeners: readonly ListenerAnswer[];
  readonly connections: readonly ConnectionAnswer[];
}
