import type { Endpoint } from "../endpoint.ts";

/** Draws endpoints as often as their weight says, as the weights were when the table was made. */
export class WeightTable {
  readonly total: number;
  private readonly endpoints: readonly Endpoint[];
  /** Sums of the weights up to and including each endpoint. */
  private readonly sums: readonly number[];

  constructor(endpoints: readonly Endpoint[]) {
    this.endpoints = endpoints;
    let sum = 0;
    this.sums = endpoints.map(({ weight }) => {
      sum += weight;
      return sum;
    });
    this.total = sum;
  }

  /** The endpoint in whose part of the sum a point lies; undefined where there is none. */
  at(point: number): Endpoint | undefined {
    return this.endpoints[this.index(point)];
  }

  index(point: number): number {
    let low = 0;
    let high = this.sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < (this.sums[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Where the part of an endpoint begins. */
  start(index: number): number {
    return index === 0 ? 0 : (this.sums[index - 1] ?? 0);
  }
}

/** Draws by weight among those that were not tried, or among all where every one was. For calls that are made again. */
export function drawUntried(
  all: readonly Endpoint[],
  tried: readonly Endpoint[],
  random: () => number,
): Endpoint | undefined {
  const others = all.filter((endpoint) => !tried.includes(endpoint));
  return draw(others.length > 0 ? others : all, undefined, random);
}

/** Draws by weight among `endpoints` without `except`. */
export function draw(
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

/** Whether endpoints are those of before in the same order, each of the weight that it had. */
export function isSame(before: readonly Endpoint[], weights: readonly number[], now: readonly Endpoint[]): boolean {
  return before.length === now.length && now.every((one, at) => one === before[at] && one.weight === weights[at]);
}
