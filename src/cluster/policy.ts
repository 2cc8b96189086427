import type { BalancerDefinition } from "./balancer.ts";
import { leastRequest } from "./balancers/least-request.ts";
import type { AffinitySettings } from "./choice/affinity.ts";
import type { HashSettings } from "./choice/hash-key.ts";
import type { LevelSettings } from "./choice/levels.ts";
import type { SubsetSettings } from "./choice/subsets.ts";
import type { CheckSettings } from "./health/check.ts";
import { defaultOutlierSettings, type OutlierSettings } from "./health/settings.ts";
import type { BiasSettings } from "./load-bias.ts";
import { defaultLoadSettings, type LoadSettings } from "./load-weight.ts";
import type { SlowStartSettings } from "./slow-start.ts";

/** How a cluster chooses among its endpoints, and what takes one out. Replaced whole by a reload; endpoints keep their state. */
export interface ClusterPolicy {
  readonly balancer: BalancerDefinition;
  /** Of how many endpoints drawn at random leastRequest takes the best one. */
  readonly choices: number;
  /** For balancers that keep calls together. */
  readonly hash: HashSettings;
  /** For those: how many times its share of the calls under way an endpoint may have; undefined: any number. */
  readonly maxLoad: number | undefined;
  /** In which order pickFirst takes endpoints: as discovery lists them, or in one of this sidecar's own. */
  readonly order: "listed" | "shuffled";
  /** How many endpoints this sidecar calls, of each level; undefined: all. */
  readonly aperture: number | undefined;
  /** For balancers that go by what the application says of its load. */
  readonly load: LoadSettings;
  readonly slowStart: SlowStartSettings | undefined;
  /** Whether endpoints that have too many calls get fewer, and how many. */
  readonly loadBias: BiasSettings | undefined;
  readonly levels: LevelSettings;
  readonly subsets: SubsetSettings | undefined;
  readonly affinity: AffinitySettings | undefined;
  readonly outlierDetection: OutlierSettings;
  readonly healthCheck: CheckSettings | undefined;
  /** Where less than this share of the endpoints that take connections is usable, health is ignored; 0: never. */
  readonly panicThreshold: number;
  /** Milliseconds for a connection to be made; undefined: the default. */
  readonly connectTimeout: number | undefined;
  /** For how long connections are used. */
  readonly connections: { readonly maxAge: number | undefined; readonly maxRequests: number | undefined };
}

/** What `loadBias` is unless it says otherwise. */
export const defaultBias: BiasSettings = { floor: 0.1, hold: 1000, maxHold: 30_000, recovery: 10_000 };

/** What holds for an upstream that says nothing of balancing. */
export const defaultPolicy: ClusterPolicy = {
  balancer: leastRequest,
  choices: 2,
  hash: { by: "path" },
  maxLoad: undefined,
  order: "listed",
  aperture: undefined,
  load: defaultLoadSettings,
  slowStart: undefined,
  loadBias: undefined,
  levels: { zone: undefined, priorities: [], spillBelow: 0.7, spillAbove: undefined },
  subsets: undefined,
  affinity: undefined,
  outlierDetection: defaultOutlierSettings,
  healthCheck: undefined,
  panicThreshold: 0.01,
  connectTimeout: undefined,
  connections: { maxAge: undefined, maxRequests: undefined },
};
