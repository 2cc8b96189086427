import type { BalancerDefinition } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import { ManyChoices } from "./many-choices.ts";
import { twoChoices } from "./two-choices.ts";

/**
 * `one` unless `other` has less in flight for its weight, half a call added. Two that have nothing to do are equal, so that a
 * light one gets its share of a quiet service too. Simulated with weights from 1:1 to 1:10 and 0.05 to 100 calls in flight
 * this keeps nearest to the weights: a whole call added starves the light ones, nothing added floods them.
 */
function lessLoaded(one: Endpoint, other: Endpoint): Endpoint {
  if (one.inFlight + other.inFlight === 0) return one;
  return (2 * other.inFlight + 1) * one.weight < (2 * one.inFlight + 1) * other.weight ? other : one;
}

/** Of two endpoints, or of as many as are wanted, the one with less in flight. */
export const leastRequest: BalancerDefinition = {
  name: "leastRequest",
  picker: (endpoints, { random, choices }) =>
    choices === 2 ? twoChoices(endpoints, random, lessLoaded) : new ManyChoices(endpoints, choices, random, lessLoaded),
};
