/** What the table holds: anything with an identifier above 0 that no other entry has. */
interface Identified {
  readonly id: number;
}

const SMALLEST = 16;

/**
 * The streams of a connection by identifier: open addressing with linear probing.
 *
 * Not a Map: streams come and go by the ten thousand a second, and a Map that is rehashed leaves its old table behind with a
 * pointer to the new one. Once one of those is in the old generation, every call after it survives each scavenge: at 16 KiB a
 * message a tenth of the time went into that.
 *
 * Invariants: at most half of the places are taken; between an entry's own place and where it stands there is no empty one.
 */
export class StreamTable<T extends Identified> {
  private places: (T | undefined)[] = emptyPlaces(SMALLEST);
  private mask = SMALLEST - 1;
  size = 0;

  get(id: number): T | undefined {
    const { places, mask } = this;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const entry = places[at];
      if (entry === undefined || entry.id === id) return entry;
    }
  }

  add(entry: T): void {
    if ((this.size + 1) * 2 > this.places.length) this.grow();
    this.size++;
    this.put(entry);
  }

  delete(id: number): void {
    const { places, mask } = this;
    let hole = (id >>> 1) & mask;
    for (; ; hole = (hole + 1) & mask) {
      const entry = places[hole];
      if (entry === undefined) return;
      if (entry.id === id) break;
    }
    this.size--;
    // Moves back what stands behind the hole and would not be found any more.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const entry = places[at];
      if (entry === undefined) break;
      const own = (entry.id >>> 1) & mask;
      if (((at - own) & mask) >= ((at - hole) & mask)) {
        places[hole] = entry;
        hole = at;
      }
    }
    places[hole] = undefined;
  }

  /** A copy of what is in the table, in no particular order. */
  values(): T[] {
    return this.places.filter((entry) => entry !== undefined);
  }

  private put(entry: T): void {
    const { places, mask } = this;
    let at = (entry.id >>> 1) & mask;
    while (places[at] !== undefined) at = (at + 1) & mask;
    places[at] = entry;
  }

  private grow(): void {
    const entries = this.values();
    this.places = emptyPlaces(this.places.length * 2);
    this.mask = this.places.length - 1;
    for (const entry of entries) this.put(entry);
  }
}

function emptyPlaces<T>(length: number): (T | undefined)[] {
  return Array.from({ length }, () => undefined);
}
