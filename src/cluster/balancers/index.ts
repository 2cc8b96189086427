import type { BalancerDefinition } from "../balancer.ts";
import { leastRequest } from "./least-request.ts";
import { roundRobin } from "./round-robin.ts";

/** The balancing algorithms by the words of the configuration. */
export const balancers = { leastRequest, roundRobin } as const satisfies Record<string, BalancerDefinition>;

export type BalancerName = keyof typeof balancers;
