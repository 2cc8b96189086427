import type { Allowance } from "./allowance.ts";

/** Entries that are looked at for one that can go, each time that a key finds the table full. */
const LOOKS = 8;

/**
 * The allowances of a limit by key. Callers choose keys, so the table is bounded, and nobody gains by filling it:
 *
 * - only an entry that has recovered entirely is forgotten for another, so that no key is ever reset by it;
 * - a key for which there is no room shares one allowance with all others of its kind until there is.
 */
export class KeyTable {
  max: number;
  private readonly make: (key: string) => Allowance;
  private readonly entries = new Map<string, Allowance>();
  private readonly overflow: Allowance;
  private hand: MapIterator<[string, Allowance]>;
  /** Calls that found no entry of their own. */
  overflowed = 0;

  constructor(max: number, make: (key: string) => Allowance) {
    this.max = max;
    this.make = make;
    this.overflow = make("");
    this.hand = this.entries.entries();
  }

  get size(): number {
    return this.entries.size;
  }

  of(key: string, now: number): Allowance {
    const known = this.entries.get(key);
    if (known !== undefined) return known;
    if (this.entries.size >= this.max && !this.makeRoom(now)) {
      this.overflowed++;
      return this.overflow;
    }
    const made = this.make(key);
    this.entries.set(key, made);
    return made;
  }

  /** Those of a key of their own. */
  entriesOf(): IterableIterator<Allowance> {
    return this.entries.values();
  }

  *values(): IterableIterator<Allowance> {
    yield* this.entries.values();
    yield this.overflow;
  }

  /** The hand goes round and takes what it finds recovered; it begins again where the table ends. */
  private makeRoom(now: number): boolean {
    for (let look = 0; look < LOOKS; look++) {
      let next = this.hand.next();
      if (next.done === true) {
        this.hand = this.entries.entries();
        next = this.hand.next();
        if (next.done === true) return true;
      }
      const [key, allowance] = next.value;
      if (allowance.fresh(now)) this.entries.delete(key);
    }
    return this.entries.size < this.max;
  }
}
