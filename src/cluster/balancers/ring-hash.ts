import type { BalancerDefinition, Picker, PickerTools } from "../balancer.ts";
import { hashText, mix } from "../choice/hash-key.ts";
import type { Endpoint } from "../endpoint.ts";
import { HashPicker } from "./hash-picker.ts";
import { isSame } from "./weight-table.ts";

/** Points on the ring of the lightest endpoint: shares are then within some 6% of the weights (one standard deviation). */
const POINTS = 256;
/** Points of all; the number of each is halved until they fit. */
const MAX_POINTS = 131_072;
/** Room for an endpoint's index beside the 32 bits of its point in a double's 53. */
const INDEX = 2 ** 20;

/**
 * Consistent hashing (Karger 1997): a call goes to the next point on a ring of hashes, so that an endpoint that comes or goes
 * moves only the calls of its own part.
 */
class Ring extends HashPicker {
  protected readonly steps: number;
  /** In order: the point times INDEX, plus whose it is. */
  private readonly points: Float64Array;

  constructor(endpoints: readonly Endpoint[], tools: PickerTools, previous: Picker | undefined) {
    super(endpoints, tools);
    const same = previous instanceof Ring && isSame(previous.endpoints, previous.weights, endpoints);
    this.points = same ? previous.points : pointsOf(endpoints);
    this.steps = this.points.length;
  }

  protected first(key: number): number {
    return this.after(key * INDEX);
  }

  protected next(place: number): number {
    return place + 1 === this.points.length ? 0 : place + 1;
  }

  protected at(place: number): Endpoint | undefined {
    return this.endpoints[(this.points[place] ?? 0) % INDEX];
  }

  /** The first point that is not before a place on the ring. */
  private after(place: number): number {
    const { points } = this;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((points[middle] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    return low === points.length ? 0 : low;
  }
}

function pointsOf(endpoints: readonly Endpoint[]): Float64Array {
  const lightest = Math.min(...endpoints.map(({ weight }) => weight));
  let perWeight = POINTS / lightest;
  const weights = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  while (weights * perWeight > MAX_POINTS) perWeight /= 2;
  const points: number[] = [];
  for (const [at, { id, weight }] of endpoints.entries()) {
    const base = hashText(id);
    const count = Math.max(1, Math.round(weight * perWeight));
    for (let n = 0; n < count; n++) points.push(mix(base + Math.imul(n, 0x9e3779b9)) * INDEX + at);
  }
  return Float64Array.from(points).sort();
}

/** Consistent hashing on a ring: only the keys of an endpoint that goes find another one. */
export const ringHash: BalancerDefinition = {
  name: "ringHash",
  picker: (endpoints, tools, previous) => new Ring(endpoints, tools, previous),
};
