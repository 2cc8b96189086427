import type { BalancerDefinition, PickContext, Picker, PickerTools } from "../balancer.ts";
import { hashText, mix } from "../choice/hash-key.ts";
import type { Endpoint } from "../endpoint.ts";
import { LoadBound } from "./load-bound.ts";
import { RandomPicker } from "./random.ts";
import { isSame } from "./weight-table.ts";

/** Places in the table: a prime, as the paper asks for, and some hundred for each of several hundred endpoints. */
const SIZE = 65_537;
/** Further places that a call is given that is made again, or whose endpoint is full, before it goes anywhere. */
const MAX_STEPS = 16;

/**
 * Maglev (Eisenbud 2016): a table of places that the endpoints fill in turns, each in an order of its own. Evener than a ring
 * and one look-up a call; an endpoint that comes or goes moves its own calls and a few others.
 */
class Table implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly hash: PickerTools["hash"];
  private readonly keyless: RandomPicker;
  private readonly bound: LoadBound | undefined;
  private readonly places: Uint16Array;
  private readonly weights: readonly number[];

  constructor(endpoints: readonly Endpoint[], tools: PickerTools, previous: Picker | undefined) {
    this.endpoints = endpoints;
    this.hash = tools.hash;
    this.keyless = new RandomPicker(endpoints, tools.random);
    this.bound = tools.maxLoad === undefined ? undefined : new LoadBound(endpoints, tools.maxLoad);
    this.weights = endpoints.map(({ weight }) => weight);
    const same = previous instanceof Table && isSame(previous.endpoints, previous.weights, endpoints);
    this.places = same ? previous.places : fill(endpoints);
  }

  pick(context: PickContext): Endpoint | undefined {
    const key = this.hash(context.call);
    if (key === undefined) return this.keyless.pick(context);
    const { bound } = this;
    const { tried } = context;
    let full: Endpoint | undefined;
    bound?.begin();
    let place = key;
    for (let step = 0; step < MAX_STEPS; step++) {
      const endpoint = this.endpoints[this.places[place % SIZE] ?? 0];
      if (endpoint === undefined) return undefined;
      if (tried?.includes(endpoint) !== true) {
        if (bound?.isFull(endpoint) !== true) return endpoint;
        full ??= endpoint;
      }
      place = mix(place + step + 1);
    }
    return full ?? this.keyless.pick(context);
  }
}

/** Endpoints take free places in turns; one of half the weight of the heaviest has every other turn. */
function fill(endpoints: readonly Endpoint[]): Uint16Array {
  const places = new Uint16Array(SIZE);
  const taken = new Uint8Array(SIZE);
  const heaviest = Math.max(...endpoints.map(({ weight }) => weight));
  const orders = endpoints.map(({ id, weight }) => {
    const base = hashText(id);
    return { place: base % SIZE, skip: (mix(base + 1) % (SIZE - 1)) + 1, turns: weight / heaviest, due: 0 };
  });
  let free = endpoints.length === 0 ? 0 : SIZE;
  while (free > 0) {
    for (const [at, order] of orders.entries()) {
      order.due += order.turns;
      if (order.due < 1 - 1e-9) continue;
      order.due -= 1;
      while (taken[order.place] === 1) order.place = (order.place + order.skip) % SIZE;
      taken[order.place] = 1;
      places[order.place] = at;
      if (--free === 0) break;
    }
  }
  return places;
}

export const maglev: BalancerDefinition = {
  name: "maglev",
  picker: (endpoints, tools, previous) => new Table(endpoints, tools, previous),
};
