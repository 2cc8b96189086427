import type { PickContext, Picker } from "../balancer.ts";
import { drawUntried } from "../balancers/weight-table.ts";
import type { Endpoint } from "../endpoint.ts";
import { hashText, mix } from "./hash-key.ts";

/**
 * So many of the endpoints that this sidecar calls, in an order of its own (rendezvous hashing, Thaler 1996): with many sidecars
 * and many endpoints not everybody has a connection to everybody, and one that goes out is stood in for by the next in the order.
 */
export function within(usable: readonly Endpoint[], size: number, seed: number): readonly Endpoint[] {
  if (usable.length <= size) return usable;
  const ranked = usable.map((endpoint) => ({ endpoint, rank: mix(hashText(endpoint.id) ^ seed) }));
  ranked.sort((one, other) => one.rank - other.rank);
  const chosen = new Set(ranked.slice(0, size).map(({ endpoint }) => endpoint));
  // In the order that they had, for whoever takes turns.
  return usable.filter((endpoint) => chosen.has(endpoint));
}

/** Picks of some endpoints, and of the others only for a call that has tried all of these. */
export class AperturePicker implements Picker {
  private readonly inner: Picker;
  private readonly all: readonly Endpoint[];
  private readonly random: () => number;

  constructor(inner: Picker, all: readonly Endpoint[], random: () => number) {
    this.inner = inner;
    this.all = all;
    this.random = random;
  }

  pick(context: PickContext): Endpoint | undefined {
    const found = this.inner.pick(context);
    const { tried } = context;
    if (found === undefined || tried?.includes(found) !== true) return found;
    return drawUntried(this.all, tried, this.random);
  }
}
