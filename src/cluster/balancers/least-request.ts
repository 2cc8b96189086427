import type { BalancerDefinition, PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";

class TwoChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly random: () => number;

  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.endpoints = endpoints;
    this.random = random;
  }

  pick(context: PickContext): Endpoint | undefined {
    const { endpoints } = this;
    const { tried } = context;
    const pool = tried === undefined ? endpoints : endpoints.filter((endpoint) => !tried.includes(endpoint));
    const a = pool[Math.floor(this.random() * pool.length)];
    const b = pool[Math.floor(this.random() * pool.length)];
    if (a === undefined || b === undefined) return endpoints[0];
    return b.inFlight < a.inFlight ? b : a;
  }
}

export const leastRequest: BalancerDefinition = {
  name: "leastRequest",
  picker: (endpoints, random) => new TwoChoices(endpoints, random),
};
