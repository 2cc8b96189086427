import { HUFFMAN_CODE } from "../../src/http2/hpack/huffman-code.ts";
import { STATIC_TABLE } from "../../src/http2/hpack/static-table.ts";

/** A field as a test writes it. */
export type PlainField = readonly [name: string, value: string, secret?: boolean];

/** An integer of RFC 7541 §5.1 behind `flags`, with a prefix of `bits` bits. */
export function integer(value: number, flags: number, bits: number): number[] {
  const mask = 2 ** bits - 1;
  if (value < mask) return [flags | value];
  const octets = [flags | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push(128 + (rest % 128));
  return [...octets, rest];
}

/** A string literal as it is (RFC 7541 §5.2). */
export function plain(text: string): number[] {
  return [...integer(text.length, 0, 7), ...Buffer.from(text, "latin1")];
}

const codes = new Map(HUFFMAN_CODE.map(({ symbol, code, length }) => [symbol, code.toString(2).padStart(length, "0")]));

/** The Huffman code of latin1 text, padded with ones. */
export function huffmanCode(text: string): number[] {
  let bits = "";
  for (const octet of Buffer.from(text, "latin1")) bits += codes.get(octet);
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Array.from({ length: bits.length / 8 }, (_, i) => Number.parseInt(bits.slice(i * 8, i * 8 + 8), 2));
}

/** A string literal in Huffman code. */
export function huffman(text: string): number[] {
  const code = huffmanCode(text);
  return [...integer(code.length, 0x80, 7), ...code];
}

/** What an encoder may do with a field. */
export type Indexing = "incremental" | "none" | "never";

/**
 * An encoder as peers have it: it indexes what it may, evicts, and uses Huffman code where that is shorter. Slow and plain,
 * and not related to ours.
 */
export class PeerEncoder {
  private maxSize: number;
  private entries: PlainField[] = [];
  private readonly updates: number[] = [];
  private readonly indexing: (field: PlainField) => Indexing;

  constructor(
    maxSize = 4096,
    indexing = (field: PlainField): Indexing => (field[2] === true ? "never" : "incremental"),
  ) {
    this.maxSize = maxSize;
    this.indexing = indexing;
  }

  /** The size of the dynamic table after RFC 7541 §4.1. */
  get size(): number {
    return this.entries.reduce((size, [name, value]) => size + name.length + value.length + 32, 0);
  }

  /** Signals a new size at the start of the next block. */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
    this.updates.push(...integer(maxSize, 0x20, 5));
    this.evict(0);
  }

  encode(fields: Iterable<PlainField>): Buffer {
    const octets = this.updates.splice(0);
    for (const field of fields) octets.push(...this.field(field));
    return Buffer.from(octets);
  }

  private field(field: PlainField): number[] {
    const [name, value] = field;
    const table = [...STATIC_TABLE, ...this.entries];
    const indexing = this.indexing(field);
    const exact = table.findIndex((entry) => entry[0] === name && entry[1] === value);
    if (exact >= 0 && indexing !== "never") return integer(exact + 1, 0x80, 7);
    const nameIndex = table.findIndex((entry) => entry[0] === name) + 1;
    const form =
      indexing === "incremental" ? integer(nameIndex, 0x40, 6) : integer(nameIndex, indexing === "none" ? 0 : 16, 4);
    if (indexing === "incremental") {
      const size = name.length + value.length + 32;
      this.evict(size);
      if (size <= this.maxSize) this.entries.unshift([name, value]);
    }
    return [...form, ...(nameIndex === 0 ? shorter(name) : []), ...shorter(value)];
  }

  private evict(room: number): void {
    while (this.entries.length > 0 && this.size + room > this.maxSize) this.entries.pop();
  }
}

function shorter(text: string): number[] {
  const coded = huffman(text);
  return coded.length < text.length + 1 ? coded : plain(text);
}
