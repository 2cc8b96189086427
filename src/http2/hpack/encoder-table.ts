import type { HeaderList } from "../../http/headers.ts";
import { ENTRY_OVERHEAD, STATIC_COUNT, STATIC_TABLE } from "./static-table.ts";

interface Positions {
  /** Of the entry that stands for the name. */
  readonly name: number;
  readonly byValue: Map<string, number>;
}

/** Index of the first static entry of a name, and of each of its values. */
const statics = new Map<string, Positions>();
STATIC_TABLE.forEach(([name, value], i) => {
  const known = statics.get(name) ?? { name: i + 1, byValue: new Map() };
  known.byValue.set(value, i + 1);
  statics.set(name, known);
});

/**
 * The encoder's dynamic table. Entries are added until one does not fit and never evicted one by one, only all at once:
 * so the set of fields in it settles, and with it the indices, which move with every entry added (RFC 7541 §2.3.3).
 */
export class EncoderTable {
  /** Grows with every change: indices hold for one version. */
  version = 0;
  private size = 0;
  private inserted = 0;
  private maxSize: number;
  /** Entries by name, numbered from 1 in the order in which they were inserted. */
  private entries = new Map<string, Positions>();

  constructor(capacity: number) {
    this.maxSize = capacity;
  }

  /** Octets that the entries may take together. */
  get capacity(): number {
    return this.maxSize;
  }

  /** A larger capacity; what is in the table stays. */
  grow(capacity: number): void {
    this.maxSize = capacity;
  }

  /** Evicts everything. */
  restart(capacity: number): void {
    this.maxSize = capacity;
    this.version++;
    this.size = 0;
    this.inserted = 0;
    this.entries.clear();
  }

  /** The index of a field, or 0. */
  index(name: string, value: string): number {
    return statics.get(name)?.byValue.get(value) ?? this.indexOf(this.entries.get(name)?.byValue.get(value));
  }

  /** An index whose entry has the name, or 0. */
  nameIndex(name: string): number {
    return statics.get(name)?.name ?? this.indexOf(this.entries.get(name)?.name);
  }

  private indexOf(position: number | undefined): number {
    return position === undefined ? 0 : STATIC_COUNT + 1 + this.inserted - position;
  }

  /** Whether an entry of this name and value can be added. */
  fits(name: string, value: string): boolean {
    return this.size + name.length + value.length + ENTRY_OVERHEAD <= this.maxSize;
  }

  /** Adds an entry that fits. */
  insert(name: string, value: string): void {
    this.size += name.length + value.length + ENTRY_OVERHEAD;
    this.version++;
    const position = ++this.inserted;
    const known = this.entries.get(name);
    if (known === undefined) this.entries.set(name, { name: position, byValue: new Map([[value, position]]) });
    else known.byValue.set(value, position);
  }

  /** Whether a field of `list` is kept out only by what is in the table now. */
  starves(list: HeaderList): boolean {
    return list.fields.some(({ name, value, slot }) => {
      const size = name.length + value.length + ENTRY_OVERHEAD;
      return !slot && size <= this.maxSize && this.index(name, value) === 0;
    });
  }
}
