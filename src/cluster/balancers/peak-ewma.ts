import type { BalancerDefinition } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import { twoChoices } from "./two-choices.ts";

/** What an endpoint that has calls under way and never answered one is taken to need for each: it is asked no further for now. */
const UNKNOWN = 60_000;

/** What the next call would cost at an endpoint: how long its answers take, times how many would be waited for. */
function cost({ latency, inFlight, weight }: Endpoint, now: number): number {
  const ms = latency?.at(now);
  if (ms === undefined) return (inFlight * UNKNOWN) / weight;
  return (ms * (inFlight + 1)) / weight;
}

/**
 * Of two endpoints the one whose answers come sooner, by a moving mean that follows a rise at once (Finagle's Peak EWMA). It
 * notices a slow endpoint by its first slow answer, where the number of calls in flight has to build up first.
 */
export const peakEwma: BalancerDefinition = {
  name: "peakEwma",
  needs: "latency",
  picker: (endpoints, { random, now }) =>
    twoChoices(endpoints, random, (one, other) => {
      const time = now();
      return cost(other, time) < cost(one, time) ? other : one;
    }),
};
