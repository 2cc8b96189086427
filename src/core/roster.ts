/** What a roster holds knows its place in it. */
export interface Placed {
  /** Owned by the roster; -1 outside of one. */
  place: number;
}

/** Of more than that not all are looked at where the least of them is wanted: whoever fills a roster could keep us busy with it. */
const ENOUGH = 200;

/**
 * A set of things that come and go by the hundred a second, in no particular order.
 *
 * Not a Set: one that is rehashed leaves its old table behind with a pointer to the new one, and once such a table is in the
 * old generation whatever went through the set is kept alive until a full collection.
 *
 * Invariant: `items[item.place] === item` for each item.
 */
export class Roster<T extends Placed> {
  private readonly items: T[] = [];
  /** Where the next look begins. */
  private cursor = 0;
  /** All were looked at, and none had a rank; nor has one been found since. */
  private isBarren = false;

  get size(): number {
    return this.items.length;
  }

  /** Adds what is in no roster. */
  add(item: T): void {
    item.place = this.items.length;
    this.items.push(item);
  }

  /** Idempotent. */
  delete(item: T): void {
    const { items } = this;
    if (items[item.place] !== item) return;
    const last = items.pop();
    if (last !== undefined && last !== item) {
      items[item.place] = last;
      last.place = item.place;
    }
    item.place = -1;
  }

  /**
   * The one with the least rank, of those that are looked at: others each time, and as many as it takes to find one, unless that was in vain
   * the last time. Whose rank is Infinity is not found.
   */
  least(rank: (item: T) => number): T | undefined {
    const { items } = this;
    let found: T | undefined;
    let least = Number.POSITIVE_INFINITY;
    const searches = !this.isBarren;
    for (let looked = 0; looked < items.length && (looked < ENOUGH || (searches && found === undefined)); looked++) {
      this.cursor = (this.cursor + 1) % items.length;
      const item = items[this.cursor];
      const own = item === undefined ? Number.POSITIVE_INFINITY : rank(item);
      if (own >= least) continue;
      least = own;
      found = item;
    }
    this.isBarren = found === undefined && items.length > ENOUGH;
    return found;
  }

  /** A copy. */
  values(): T[] {
    return [...this.items];
  }
}
