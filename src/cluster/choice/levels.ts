import type { PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";

/** Which endpoints come first. */
export interface LevelSettings {
  /** Endpoints of this zone go before others; undefined: none does. */
  readonly zone: string | undefined;
  /** Endpoints whose meta has all of the first mapping go before those that have all of the second, and so on; others come last. */
  readonly priorities: readonly Readonly<Record<string, string>>[];
  /**
   * A level takes all of what comes to it while at least this share of its endpoints is usable. Below that it takes less in
   * proportion, and the rest goes to the next one.
   */
  readonly spillBelow: number;
  /** So many calls under way at the endpoint that a call would go to send it to the next level, where that is less busy. */
  readonly spillAbove: number | undefined;
}

/** Endpoints that are equally near, or of equal priority. */
export interface Level {
  /** Endpoints that discovery knows, whatever their state. */
  total: number;
  readonly usable: Endpoint[];
}

/** Sorts endpoints into levels, those without any left out. The zone decides within a priority. */
export function levelsOf(
  all: Iterable<Endpoint>,
  isUsable: (endpoint: Endpoint) => boolean,
  settings: LevelSettings,
): Level[] {
  // Sparse: a place without an endpoint is no level.
  const levels: Level[] = [];
  for (const endpoint of all) {
    const at = placeOf(endpoint, settings);
    const level = levels[at] ?? { total: 0, usable: [] };
    levels[at] = level;
    level.total++;
    if (isUsable(endpoint)) level.usable.push(endpoint);
  }
  return levels.filter((level) => level !== undefined);
}

function placeOf({ meta, zone }: Endpoint, settings: LevelSettings): number {
  const found = settings.priorities.findIndex((wanted) => hasAll(meta, wanted));
  const priority = found < 0 ? settings.priorities.length : found;
  return 2 * priority + (settings.zone === undefined || zone === settings.zone ? 0 : 1);
}

/** Whether meta has every one of these values. */
export function hasAll(meta: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  for (const key of Object.keys(wanted)) if (meta[key] !== wanted[key]) return false;
  return true;
}

/** The share of calls of each level: what it can take of what those before it leave over. Sums to 1 where anything is usable. */
export function sharesOf(levels: readonly Level[], spillBelow: number): number[] {
  let left = 1;
  const shares = levels.map(({ usable, total }) => {
    const can = usable.length === 0 ? 0 : Math.min(1, spillBelow === 0 ? 1 : usable.length / total / spillBelow);
    const share = Math.min(left, can);
    left -= share;
    return share;
  });
  const sum = 1 - left;
  return sum === 0 ? shares : shares.map((share) => share / sum);
}

/** Endpoints in levels: draws one by its share, and goes on to the others where that has nothing that was not tried. */
export class LevelPicker implements Picker {
  private readonly pickers: readonly Picker[];
  private readonly shares: readonly number[];
  private readonly spillAbove: number;
  private readonly random: () => number;

  constructor(
    pickers: readonly Picker[],
    shares: readonly number[],
    spillAbove: number | undefined,
    random: () => number,
  ) {
    this.pickers = pickers;
    this.shares = shares;
    this.spillAbove = spillAbove ?? Number.POSITIVE_INFINITY;
    this.random = random;
  }

  pick(context: PickContext): Endpoint | undefined {
    const { pickers, shares, spillAbove } = this;
    let point = this.random();
    let drawn = 0;
    while (drawn < shares.length - 1 && point >= (shares[drawn] ?? 0)) point -= shares[drawn++] ?? 0;
    const first = pickers[drawn]?.pick(context);
    if (first !== undefined && context.tried?.includes(first) !== true)
      return first.inFlight < spillAbove ? first : this.lessBusy(first, drawn, context);
    let again = first;
    for (const [at, picker] of pickers.entries()) {
      if (at === drawn) continue;
      const other = picker.pick(context);
      if (other !== undefined && context.tried?.includes(other) !== true) return other;
      again ??= other;
    }
    return again;
  }

  /** The endpoint of a level behind that one is not as busy; else the one that there is, for it comes first. */
  private lessBusy(first: Endpoint, level: number, context: PickContext): Endpoint {
    for (const picker of this.pickers.slice(level + 1)) {
      const other = picker.pick(context);
      if (other !== undefined && other.inFlight < this.spillAbove && context.tried?.includes(other) !== true)
        return other;
    }
    return first;
  }
}
