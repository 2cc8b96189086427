/** What a roster holds knows its place in it. */
export interface Placed {
  /** Owned by the roster; -1 outside of one. */
  place: number;
}

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

  /** A copy. */
  values(): T[] {
    return [...this.items];
  }
}
