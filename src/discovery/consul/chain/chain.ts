/**
 * How Consul routes the calls of a service, as its compiled discovery chain says it: what `service-router`, `service-splitter`
 * and `service-resolver` come to together. Times in milliseconds.
 */
export interface Chain {
  /** Of the service, by its `service-defaults`: routers and splitters exist for `http`, `http2` and `grpc` only. */
  readonly protocol: string;
  /** No config entry says anything: calls go to the service's own instances. */
  readonly isDefault: boolean;
  /** The first that matches a call is the one. */
  readonly routes: readonly ChainRoute[];
  /** Where calls can go, by id. */
  readonly targets: ReadonlyMap<string, ChainTarget>;
  /** What of it is not obeyed, each with where it stands and why. */
  readonly problems: readonly string[];
}

/** One route of a service router. */
export interface ChainRoute {
  /** Where it stands: `Routes[0]`; "" where there is no router. */
  readonly name: string;
  readonly match: ChainMatch;
  /** Shares sum to 1. */
  readonly ways: readonly ChainWay[];
  /** Takes the place of the part of the path that `match` names. */
  readonly rewrite: string | undefined;
  /** undefined: nothing is said; infinite: there is none. */
  readonly timeout: number | undefined;
  readonly idleTimeout: number | undefined;
  readonly retry: ChainRetry | undefined;
  readonly request: ChainEdits;
  readonly response: ChainEdits;
}

/** One way of a service splitter. */
export interface ChainWay {
  readonly share: number;
  /** The id of a target. */
  readonly target: string;
  readonly request: ChainEdits;
  readonly response: ChainEdits;
}

/** What a call has to have: all of it. */
export interface ChainMatch {
  readonly path: TextTest | undefined;
  readonly headers: readonly FieldTest[];
  readonly query: readonly FieldTest[];
  /** Empty: any. */
  readonly methods: readonly string[];
}

/** How a text has to look. */
export interface TextTest {
  readonly kind: "exact" | "prefix" | "suffix" | "contains" | "regex" | "present";
  readonly text: string;
  readonly ignoreCase: boolean;
}

/** How a header or query parameter has to look. */
export interface FieldTest extends TextTest {
  readonly name: string;
  readonly invert: boolean;
}

/** In Consul's words, which are Envoy's. */
export interface ChainRetry {
  readonly retries: number;
  readonly on: readonly string[];
  /** HTTP statuses. */
  readonly statuses: readonly number[];
}

/** By lower-case name. */
export interface ChainEdits {
  readonly set: ReadonlyMap<string, string>;
  readonly add: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
}

/** Instances of a service, and what becomes of calls that there are none for. */
export interface ChainTarget {
  /** For people: `SUBSET.SERVICE@DATACENTER`, without what goes without saying. */
  readonly label: string;
  readonly service: string;
  /** How a discovery source calls its instances; undefined: they cannot be had, and what stands in for them gets the calls. */
  readonly lookup: string | undefined;
  readonly connectTimeout: number | undefined;
  readonly requestTimeout: number | undefined;
  /** Ids of targets, in their order. */
  readonly failover: readonly string[];
  readonly balancing: ChainBalancing | undefined;
}

/** How a service resolver has its endpoints balanced. */
export interface ChainBalancing {
  readonly policy: "roundRobin" | "leastRequest" | "ringHash" | "maglev" | "random";
  /** Of how many endpoints drawn at random the best one is taken, with leastRequest. */
  readonly choices: number;
  readonly hash: readonly HashPolicy[];
}

/** One part of what calls are kept together by. */
export interface HashPolicy {
  readonly from: "header" | "cookie" | "query" | "source";
  readonly name: string;
  /** Where it has given a hash, those after it are not asked. */
  readonly terminal: boolean;
}

/** Told of everything in a chain that is not obeyed, with where it stands. */
export type Refuse = (where: string, why: string) => void;
