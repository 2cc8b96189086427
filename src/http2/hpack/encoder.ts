import type { Head, HeaderList } from "../../http/headers.ts";
import { BlockCache } from "./block-cache.ts";
import { EncoderTable } from "./encoder-table.ts";
import { writeField } from "./field-writer.ts";
import { RenderedBlock } from "./rendered-block.ts";
import { SizeUpdates, UPDATES_SIZE } from "./size-updates.ts";
import { DEFAULT_TABLE_SIZE } from "./static-table.ts";
import { stringSize } from "./wire.ts";

/** Blocks sent with something spelled out until the table starts anew, so that it follows what is sent now. */
const STARVED_UNTIL_RESTART = 16_384;

/**
 * Encodes the header blocks of one direction of one connection, in their order (RFC 7541).
 *
 * A list goes through three stages. Seen for the first time it is spelled out and leaves no trace in the dynamic table, so
 * that lists which never come again do not fill it. The second time its fields are inserted as far as there is room; of a
 * slot it is the name that is worth having, for which its value of that moment has to go in as well. From then on the block
 * is rendered once and copied, with the values of the slots put in between, until the table changes. A list that its
 * HeaderTable does not keep stays in the first stage.
 *
 * Secrets leave as never-indexed literals and are in no table and no rendered block (RFC 7541 §6.2.3).
 */
export class HpackEncoder {
  /** The largest table we use, whatever the peer allows. */
  private readonly ownLimit: number;
  private readonly table: EncoderTable;
  private readonly updates = new SizeUpdates();
  private readonly blocks = new BlockCache();
  private starvedBlocks = 0;

  // --- the list encoded last and its block, if it has one ---
  private lastList: HeaderList | undefined = undefined;
  private lastBlock: RenderedBlock | undefined = undefined;

  constructor(options: { readonly maxTableSize?: number } = {}) {
    this.ownLimit = options.maxTableSize ?? DEFAULT_TABLE_SIZE;
    this.table = new EncoderTable(Math.min(this.ownLimit, DEFAULT_TABLE_SIZE));
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, in octets; a change that matters is signalled at the start of the next block. */
  setMaxTableSize(size: number): void {
    const capacity = Math.min(size, this.ownLimit);
    if (this.updates.allow(size, capacity)) this.table.restart(capacity);
    else this.table.grow(capacity);
  }

  /** Upper bound in octets of what `encode(head)` can write now. The 32 octets that count for each field cover its form. */
  bound(head: Head): number {
    let size = head.list.size + UPDATES_SIZE;
    for (const value of head.values) size += value.length;
    return size;
  }

  /** Writes the block at `at`, where the caller has made room for `bound(head)`; returns the offset after it. */
  encode(head: Head, out: Buffer, at: number): number {
    const start = this.updates.due ? this.updates.write(out, at) : at;
    const list = head.list;
    if (list !== this.lastList) {
      this.lastList = list;
      this.lastBlock = list.kept ? this.blocks.get(list) : undefined;
    }
    const block = this.lastBlock;
    if (block === undefined || block.version !== this.table.version) return this.spellOut(head, out, start);
    if (block.starved) this.starve();
    return block.write(head.values, out, start);
  }

  private spellOut(head: Head, out: Buffer, at: number): number {
    const list = head.list;
    const known = list.kept && this.blocks.see(list);
    const version = this.table.version;
    const cuts: number[] = [];
    let slot = 0;
    let end = at;
    for (const field of list.fields) {
      const value = field.slot ? (head.values[slot++] ?? "") : field.value;
      end = writeField(field, value, this.table, known, out, end);
      if (field.slot) cuts.push(end - stringSize(value), end);
    }
    if (known && this.table.version === version) {
      this.lastBlock = new RenderedBlock(version, this.table.starves(list), out, at, end, cuts);
      this.blocks.put(list, this.lastBlock);
    }
    return end;
  }

  /** One more block spelled out what a table of other entries would hold. */
  private starve(): void {
    if (++this.starvedBlocks < STARVED_UNTIL_RESTART) return;
    this.starvedBlocks = 0;
    this.updates.restart(this.table.capacity);
    this.table.restart(this.table.capacity);
  }
}
