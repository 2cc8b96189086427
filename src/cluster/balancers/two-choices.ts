import type { PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import { draw, WeightTable } from "./weight-table.ts";

/** The better of two endpoints for the next call. `one` was drawn first and stays where they are equal. */
export type Better = (one: Endpoint, other: Endpoint) => Endpoint;

/**
 * The power of two choices (Mitzenmacher 2001): of two endpoints drawn at random, the better one. Nearly as even as asking all
 * of them, and the newest or fastest endpoint is not flooded by everyone at once.
 */
class EvenChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly random: () => number;
  private readonly better: Better;

  constructor(endpoints: readonly Endpoint[], random: () => number, better: Better) {
    this.endpoints = endpoints;
    this.random = random;
    this.better = better;
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, random } = this;
    const count = endpoints.length;
    if (tried !== undefined) return pickUntried(endpoints, tried, random, this.better);
    if (count < 2) return endpoints[0];
    const at = Math.floor(random() * count);
    const drawn = Math.floor(random() * (count - 1));
    const one = endpoints[at];
    const other = endpoints[drawn < at ? drawn : drawn + 1];
    return one === undefined || other === undefined ? one : this.better(one, other);
  }
}

/** The same where weights differ: endpoints are drawn as often as their weight says. */
class WeightedChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly random: () => number;
  private readonly better: Better;
  private readonly table: WeightTable;

  constructor(endpoints: readonly Endpoint[], random: () => number, better: Better) {
    this.endpoints = endpoints;
    this.random = random;
    this.better = better;
    this.table = new WeightTable(endpoints);
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, random, table } = this;
    if (tried !== undefined) return pickUntried(endpoints, tried, random, this.better);
    const at = table.index(random() * table.total);
    const one = endpoints[at];
    if (one === undefined || endpoints.length < 2) return one;
    // The second is drawn as if the first were not in the table.
    const start = table.start(at);
    const size = table.start(at + 1) - start;
    const point = random() * (table.total - size);
    const other = table.at(point < start ? point : point + size);
    return other === undefined ? one : this.better(one, other);
  }
}

/** For a call that has tried some endpoints: the better of two of the others, or, where there are none, of all. */
function pickUntried(
  all: readonly Endpoint[],
  tried: readonly Endpoint[],
  random: () => number,
  better: Better,
): Endpoint | undefined {
  const others = all.filter((endpoint) => !tried.includes(endpoint));
  const endpoints = others.length > 0 ? others : all;
  const one = draw(endpoints, undefined, random);
  const other = draw(endpoints, one, random);
  return one === undefined || other === undefined ? one : better(one, other);
}

/** The better of two endpoints that are drawn by weight. */
export function twoChoices(endpoints: readonly Endpoint[], random: () => number, better: Better): Picker {
  const even = endpoints.every(({ weight }) => weight === endpoints[0]?.weight);
  return even ? new EvenChoices(endpoints, random, better) : new WeightedChoices(endpoints, random, better);
}
