import type { BalancerDefinition } from "../balancer.ts";
import { leastRequest } from "./least-request.ts";
import { maglev } from "./maglev.ts";
import { peakEwma } from "./peak-ewma.ts";
import { pickFirst } from "./pick-first.ts";
import { random } from "./random.ts";
import { ringHash } from "./ring-hash.ts";
import { roundRobin } from "./round-robin.ts";
import { weightedRoundRobin } from "./weighted-round-robin.ts";

/** The balancing algorithms by the words of the configuration. */
export const balancers = {
  leastRequest,
  roundRobin,
  peakEwma,
  random,
  ringHash,
  maglev,
  weightedRoundRobin,
  pickFirst,
} as const satisfies Record<string, BalancerDefinition>;

/** What `balancing.balancer` may say. */
export type BalancerName = keyof typeof balancers;

/** Those that keep calls together by what `hash` says. */
export const hashing: ReadonlySet<string> = new Set(["ringHash", "maglev"]);
