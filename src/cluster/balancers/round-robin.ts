import type { BalancerDefinition, PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";

/** Every endpoint in turn; the position is carried on when the set changes. */
class Rotation implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private next: number;

  constructor(endpoints: readonly Endpoint[], next: number) {
    this.endpoints = endpoints;
    this.next = next;
  }

  pick(context: PickContext): Endpoint | undefined {
    const { endpoints } = this;
    const { tried } = context;
    for (let left = endpoints.length; left > 0; left--) {
      const endpoint = this.advance();
      if (tried === undefined || endpoint === undefined || !tried.includes(endpoint)) return endpoint;
    }
    return this.advance();
  }

  private advance(): Endpoint | undefined {
    const endpoint = this.endpoints[this.next];
    this.next = this.next + 1 < this.endpoints.length ? this.next + 1 : 0;
    return endpoint;
  }
}

export const roundRobin: BalancerDefinition = {
  name: "roundRobin",
  picker: (endpoints, random) => new Rotation(endpoints, Math.floor(random() * endpoints.length)),
};
