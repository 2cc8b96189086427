import type { BalancerDefinition } from "../balancer.ts";
import { roundRobin } from "./round-robin.ts";

/**
 * Client-side weighted round robin (gRFC A58): every endpoint in turn, as often as the load reports in its trailers say that it
 * can take. The weights are worked out beside the path of a call, and are even while nothing is reported.
 */
export const weightedRoundRobin: BalancerDefinition = {
  name: "weightedRoundRobin",
  needs: "load",
  picker: (endpoints, tools, previous) => roundRobin.picker(endpoints, tools, previous),
};
