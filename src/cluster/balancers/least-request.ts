import type { BalancerDefinition, PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";

/**
 * The power of two choices (Mitzenmacher 2001): of two endpoints drawn at random, the one with less in flight. Nearly as even
 * as asking all of them, and the newest or fastest endpoint is not flooded by everyone at once.
 */
class TwoChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly random: () => number;

  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.endpoints = endpoints;
    this.random = random;
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, random } = this;
    const count = endpoints.length;
    if (tried !== undefined) return pickUntried(endpoints, tried, random);
    if (count < 2) return endpoints[0];
    const one = Math.floor(random() * count);
    const other = Math.floor(random() * (count - 1));
    return lessLoaded(endpoints[one], endpoints[other < one ? other : other + 1]);
  }
}

/**
 * The same where weights differ: endpoints are drawn as often as their weight says and compared by what is in flight for
 * their weight.
 */
class WeightedChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly random: () => number;
  /** Sums of the weights up to and including each endpoint. */
  private readonly sums: readonly number[];
  private readonly total: number;

  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.endpoints = endpoints;
    this.random = random;
    let sum = 0;
    this.sums = endpoints.map(({ weight }) => {
      sum += weight;
      return sum;
    });
    this.total = sum;
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, random, sums, total } = this;
    if (tried !== undefined) return pickUntried(endpoints, tried, random);
    const at = this.at(random() * total);
    const one = endpoints[at];
    if (one === undefined) return undefined;
    // The second is drawn as if the first were not in the table.
    const start = (sums[at] ?? 0) - one.weight;
    const point = random() * (total - one.weight);
    return lessLoaded(one, endpoints[this.at(point < start ? point : point + one.weight)]);
  }

  /** The endpoint in whose part of the sum a point lies. */
  private at(point: number): number {
    let low = 0;
    let high = this.sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < (this.sums[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/**
 * `one` unless `other` has less in flight for its weight, half a call added. Two that have nothing to do are equal, so that a
 * light one gets its share of a quiet service too. Simulated with weights from 1:1 to 1:10 and 0.05 to 100 calls in flight
 * this keeps nearest to the weights: a whole call added starves the light ones, nothing added floods them.
 */
function lessLoaded(one: Endpoint | undefined, other: Endpoint | undefined): Endpoint | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (one.inFlight + other.inFlight === 0) return one;
  return (2 * other.inFlight + 1) * one.weight < (2 * one.inFlight + 1) * other.weight ? other : one;
}

/** For a call that has tried some endpoints: two of the others, or, where there are none, two of all. */
function pickUntried(all: readonly Endpoint[], tried: readonly Endpoint[], random: () => number): Endpoint | undefined {
  const others = all.filter((endpoint) => !tried.includes(endpoint));
  const endpoints = others.length > 0 ? others : all;
  const one = draw(endpoints, undefined, random);
  return lessLoaded(one, draw(endpoints, one, random));
}

/** Draws by weight among `endpoints` without `except`. */
function draw(
  endpoints: readonly Endpoint[],
  except: Endpoint | undefined,
  random: () => number,
): Endpoint | undefined {
  let total = 0;
  for (const endpoint of endpoints) if (endpoint !== except) total += endpoint.weight;
  let left = random() * total;
  let drawn: Endpoint | undefined;
  for (const endpoint of endpoints) {
    if (endpoint === except) continue;
    drawn = endpoint;
    left -= endpoint.weight;
    if (left < 0) break;
  }
  return drawn;
}

export const leastRequest: BalancerDefinition = {
  name: "leastRequest",
  picker(endpoints, random) {
    const even = endpoints.every(({ weight }) => weight === endpoints[0]?.weight);
    return even ? new TwoChoices(endpoints, random) : new WeightedChoices(endpoints, random);
  },
};
