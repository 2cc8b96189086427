import { type Field, type Head, HeadBuilder, type HeaderList, type HeaderTable } from "../../http/headers.ts";
import { BlockReader } from "./block-reader.ts";
import { compressionError } from "./compression-error.ts";
import { DynamicTable, type TableEntry } from "./dynamic-table.ts";
import { staticEntries } from "./static-entries.ts";
import { DEFAULT_TABLE_SIZE, ENTRY_OVERHEAD, STATIC_COUNT } from "./static-table.ts";

/** Limits of what a decoder accepts. */
export interface HpackDecoderOptions {
  /** What we announced as SETTINGS_HEADER_TABLE_SIZE, in octets. */
  readonly maxTableSize: number;
  /** Octets of a header list after RFC 9113 §6.5.2: name, value, and 32 a field. */
  readonly maxListSize: number;
  /** Fields of a header list. */
  readonly maxFields: number;
}

/** Decodes the header blocks of one direction of one connection, in their order (RFC 7541). */
export class HpackDecoder {
  // --- immutable ---
  private readonly table: HeaderTable;
  private readonly options: HpackDecoderOptions;
  private readonly reader = new BlockReader();
  private readonly builder: HeadBuilder;

  // --- kept in step with the peer's encoder ---
  private readonly dynamic: DynamicTable;
  /** The largest size that an update may set. */
  private sizeLimit: number;
  /** The table is larger than we now allow: the next block must begin with an update (RFC 7541 §4.2). */
  private updateDue = false;

  // --- of the header table's present generation, see `adopt` ---
  private generation: HeaderList | undefined = undefined;
  private statics: readonly TableEntry[] = [];

  // --- of the block at hand ---
  private overLimit = false;
  private listSize = 0;
  private fields = 0;

  constructor(table: HeaderTable, options: HpackDecoderOptions) {
    this.table = table;
    this.options = options;
    this.builder = new HeadBuilder(table);
    // Until the peer knows our setting it goes by the default, be ours larger or smaller.
    this.dynamic = new DynamicTable(DEFAULT_TABLE_SIZE);
    this.sizeLimit = Math.max(options.maxTableSize, DEFAULT_TABLE_SIZE);
  }

  /** The list of the last block was over its limits, and its head is not whole. */
  get tooLarge(): boolean {
    return this.overLimit;
  }

  /** Octets that the dynamic table holds after RFC 7541 §4.1. */
  get tableSize(): number {
    return this.dynamic.size;
  }

  /** The peer has acknowledged our settings: from now on it must keep to the announced table size (RFC 7541 §4.2). */
  settingsAcknowledged(): void {
    this.sizeLimit = this.options.maxTableSize;
    this.updateDue = this.dynamic.capacity > this.sizeLimit;
  }

  /**
   * Decodes one complete header block. The dynamic table stays in step even where the list is over its limits: then
   * `tooLarge` is true and the head holds what was read until then.
   *
   * @throws ConnectionError COMPRESSION_ERROR for whatever breaks RFC 7541; the decoder is of no more use then.
   */
  decode(buffer: Buffer, start: number, end: number): Head {
    if (this.generation !== this.table.root) this.adopt();
    this.overLimit = false;
    this.listSize = 0;
    this.fields = 0;
    const reader = this.reader;
    reader.open(buffer, start, end);
    if (this.updateDue || reader.atSizeUpdate) this.sizeUpdates();
    while (reader.at < end) {
      const octet = reader.octet();
      if (octet >= 0x80) {
        const entry = this.entry(reader.integer(octet, 0x7f));
        this.add(entry.field, entry.value, entry.size);
      } else if (octet >= 0x40) {
        this.indexedLiteral(reader.integer(octet, 0x3f));
      } else if (octet < 0x20) {
        this.plainLiteral(reader.integer(octet, 0x0f), octet >= 0x10);
      } else {
        throw compressionError("table size update after a field");
      }
    }
    reader.close();
    return this.builder.take();
  }

  /** Literal with incremental indexing (RFC 7541 §6.2.1). */
  private indexedLiteral(index: number): void {
    const name = index === 0 ? this.table.name(this.reader.string()) : this.entry(index).name;
    const value = this.reader.string();
    const field = this.table.field(name, value, false);
    this.add(field, value, name.text.length + value.length + ENTRY_OVERHEAD);
    this.dynamic.insert(name, field, value);
  }

  /** Literal without indexing, or never indexed (RFC 7541 §6.2.2, §6.2.3). */
  private plainLiteral(index: number, neverIndexed: boolean): void {
    if (this.overLimit) {
      // Nobody will see it, so that nothing is made of it.
      if (index === 0) this.reader.skipString();
      else this.entry(index);
      this.reader.skipString();
      return;
    }
    const name = index === 0 ? this.table.name(this.reader.string()) : this.entry(index).name;
    const value = this.reader.string();
    const size = name.text.length + value.length + ENTRY_OVERHEAD;
    this.add(this.table.field(name, value, neverIndexed), value, size);
  }

  private add(field: Field, value: string, size: number): void {
    this.listSize += size;
    if (this.listSize > this.options.maxListSize || ++this.fields > this.options.maxFields) {
      this.overLimit = true;
    } else {
      this.builder.add(field, value);
    }
  }

  /** The entry of an index (RFC 7541 §2.3.3). */
  private entry(index: number): TableEntry {
    const entry = index <= STATIC_COUNT ? this.statics[index - 1] : this.dynamic.entry(index - STATIC_COUNT);
    if (entry === undefined) throw compressionError(`no table entry has the index ${index}`);
    return entry;
  }

  /** Table size updates, which come before the first field only (RFC 7541 §4.2, §6.3). */
  private sizeUpdates(): void {
    const reader = this.reader;
    while (reader.atSizeUpdate) {
      const size = reader.integer(reader.octet(), 0x1f);
      if (size > this.sizeLimit) {
        throw compressionError(`table size update to ${size}, over the limit of ${this.sizeLimit} octets`);
      }
      this.dynamic.resize(size);
      this.updateDue = false;
    }
    if (this.updateDue) throw compressionError("table size update missing after our limit was lowered");
  }

  /**
   * Takes the names and fields of the header table's new generation for those of the old one, so that equal lists are
   * the same object again on old connections and new.
   */
  private adopt(): void {
    const table = this.table;
    this.generation = table.root;
    this.statics = staticEntries(table);
    for (let age = this.dynamic.length; age > 0; age--) {
      const entry = this.dynamic.entry(age);
      if (entry === undefined) continue;
      entry.name = table.name(entry.name.text);
      entry.field = table.field(entry.name, entry.value, false);
    }
  }
}
