import type { BalancerDefinition, Picker, PickerTools } from "../balancer.ts";
import { hashText, mix } from "../choice/hash-key.ts";
import type { Endpoint } from "../endpoint.ts";
import { HashPicker } from "./hash-picker.ts";
import { isSame } from "./weight-table.ts";

/** Places in the table: a prime, as the paper asks for, and some hundred for each of several hundred endpoints. */
const SIZE = 65_537;
/** Further places that a call is given that is made again, or whose endpoint is full, before it goes anywhere. */
const MAX_STEPS = 16;

/**
 * Maglev (Eisenbud 2016): a table of places that the endpoints fill in turns, each in an order of its own. Evener than a ring
 * and one look-up a call; an endpoint that comes or goes moves its own calls and a few others.
 */
class Table extends HashPicker {
  protected readonly steps = MAX_STEPS;
  private readonly places: Uint16Array;

  constructor(endpoints: readonly Endpoint[], tools: PickerTools, previous: Picker | undefined) {
    super(endpoints, tools);
    const same = previous instanceof Table && isSame(previous.endpoints, previous.weights, endpoints);
    this.places = same ? previous.places : fill(endpoints);
  }

  protected first(key: number): number {
    return key;
  }

  protected next(place: number, step: number): number {
    return mix(place + step + 1);
  }

  protected at(place: number): Endpoint | undefined {
    return this.endpoints[this.places[place % SIZE] ?? 0];
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

/** Consistent hashing by Maglev's table: even shares, and few keys move when an endpoint comes or goes. */
export const maglev: BalancerDefinition = {
  name: "maglev",
  picker: (endpoints, tools, previous) => new Table(endpoints, tools, previous),
};
