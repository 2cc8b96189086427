import type { Field, HeaderName } from "../../http/headers.ts";
import { ENTRY_OVERHEAD } from "./static-table.ts";

/** One entry of a table. Those of a dynamic table are used again for later fields: hold on to what is in it, not to it. */
export interface TableEntry {
  name: HeaderName;
  field: Field;
  value: string;
  /** RFC 7541 §4.1. */
  size: number;
}

const FIRST_CAPACITY = 16;

/**
 * The decoder's dynamic table (RFC 7541 §2.3.2), a ring of entries that are written anew in place.
 *
 * Invariants: `size` is the sum of the sizes of the `length` newest entries, and at most `maxSize`; a ring slot outside
 * these holds no value.
 */
export class DynamicTable {
  length = 0;
  size = 0;
  private maxSize: number;
  private ring: (TableEntry | undefined)[] = [];
  /** Where the next entry goes; the ring's length is a power of two. */
  private next = 0;

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  get capacity(): number {
    return this.maxSize;
  }

  /** Changes the maximum size, evicting what no longer fits (RFC 7541 §4.3). */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
    while (this.size > maxSize) this.evict();
  }

  /** The entry inserted as the `age`-th last, from 1; undefined where there is none. */
  entry(age: number): TableEntry | undefined {
    return age > this.length ? undefined : this.ring[(this.next - age) & (this.ring.length - 1)];
  }

  /** Inserts an entry, evicting old ones; one that is larger than the table empties it (RFC 7541 §4.4). */
  insert(name: HeaderName, field: Field, value: string): void {
    const size = name.text.length + value.length + ENTRY_OVERHEAD;
    const room = this.maxSize - size;
    while (this.size > room && this.length > 0) this.evict();
    if (room < 0) return;
    if (this.length === this.ring.length) this.grow();
    const entry = this.ring[this.next];
    if (entry === undefined) {
      this.ring[this.next] = { name, field, value, size };
    } else {
      entry.name = name;
      entry.field = field;
      entry.value = value;
      entry.size = size;
    }
    this.next = (this.next + 1) & (this.ring.length - 1);
    this.length++;
    this.size += size;
  }

  private evict(): void {
    const oldest = this.entry(this.length);
    if (oldest === undefined) return;
    this.size -= oldest.size;
    this.length--;
    oldest.value = "";
  }

  private grow(): void {
    const kept: (TableEntry | undefined)[] = [];
    for (let age = this.length; age > 0; age--) kept.push(this.entry(age));
    this.next = kept.length;
    kept.length = Math.max(FIRST_CAPACITY, kept.length * 2);
    this.ring = kept.fill(undefined, this.next);
  }
}
