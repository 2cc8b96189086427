import { HUFFMAN_CODE } from "../../src/http2/hpack/huffman-code.ts";
import { STATIC_TABLE } from "../../src/http2/hpack/static-table.ts";

/** How a field stood on the wire, RFC 7541 §6. */
export type FieldForm = "indexed" | "incremental" | "plain" | "never";

export interface RawField {
  readonly name: string;
  /** Octets, one a character. */
  readonly value: string;
  readonly form: FieldForm;
}

const symbols = new Map<string, number>(
  HUFFMAN_CODE.map(({ symbol, code, length }) => [code.toString(2).padStart(length, "0"), symbol]),
);

/** Decodes blocks slowly and plainly, and says how each field stood on the wire. Not related to our decoder. */
export class RawHpackDecoder {
  private readonly entries: (readonly [name: string, value: string])[] = [];
  private maxSize = 4096;
  /** What table size updates may set. */
  private limit: number;
  private block: Buffer = Buffer.alloc(0);
  private at = 0;

  constructor(limit = 2 ** 32) {
    this.limit = limit;
  }

  /** Octets that the dynamic table holds (RFC 7541 §4.1). */
  get size(): number {
    return this.entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  /** From now on a table may have only so many octets: the next block has to say so first (RFC 7541 §4.2). */
  lower(limit: number): void {
    this.limit = limit;
  }

  decode(block: Buffer): RawField[] {
    this.block = block;
    this.at = 0;
    const fields: RawField[] = [];
    while (this.at < block.length && (this.block.readUInt8(this.at) & 0xe0) === 0x20) {
      const size = this.integer(this.octet(), 5);
      if (size > this.limit) throw new Error(`a table of ${size} octets`);
      this.maxSize = size;
      this.evict();
    }
    if (this.maxSize > this.limit) throw new Error("the table was not made smaller");
    while (this.at < block.length) {
      const first = this.octet();
      if (first >= 0x80) {
        const [name, value] = this.entry(this.integer(first, 7));
        fields.push({ name, value, form: "indexed" });
      } else if (first >= 0x40) {
        const [name, value] = this.literal(first, 6);
        this.entries.unshift([name, value]);
        this.evict();
        fields.push({ name, value, form: "incremental" });
      } else if (first >= 0x20) {
        throw new Error("a table size update after a field");
      } else {
        const [name, value] = this.literal(first, 4);
        fields.push({ name, value, form: first >= 0x10 ? "never" : "plain" });
      }
    }
    return fields;
  }

  private evict(): void {
    while (this.size > this.maxSize) this.entries.pop();
  }

  private entry(index: number): readonly [string, string] {
    const found =
      index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.entries[index - STATIC_TABLE.length - 1];
    if (found === undefined) throw new Error(`index ${index} is beyond the tables`);
    return found;
  }

  private literal(first: number, bits: number): [string, string] {
    const index = this.integer(first, bits);
    const name = index === 0 ? this.string() : this.entry(index)[0];
    return [name, this.string()];
  }

  private octet(): number {
    return this.block.readUInt8(this.at++);
  }

  private integer(first: number, bits: number): number {
    const mask = 2 ** bits - 1;
    let value = first & mask;
    if (value < mask) return value;
    // Five octets more hold every integer that means anything.
    for (let weight = 1; weight <= 128 ** 4; weight *= 128) {
      const octet = this.octet();
      value += (octet & 0x7f) * weight;
      if (octet < 128 && value < 2 ** 31) return value;
      if (octet < 128) break;
    }
    throw new Error("an integer that is too large");
  }

  private string(): string {
    const first = this.octet();
    const length = this.integer(first, 7);
    const octets = this.block.subarray(this.at, this.at + length);
    if (octets.length < length) throw new Error("a string runs past its block");
    this.at += length;
    return first < 0x80 ? octets.toString("latin1") : unpack(octets);
  }
}

function unpack(octets: Buffer): string {
  let text = "";
  let bits = "";
  for (const octet of octets) {
    for (const bit of octet.toString(2).padStart(8, "0")) {
      bits += bit;
      const symbol = symbols.get(bits);
      if (symbol === undefined) continue;
      // RFC 7541 §5.2: the end of a string is never written.
      if (symbol === 256) throw new Error("EOS in a string");
      text += String.fromCharCode(symbol);
      bits = "";
    }
  }
  if (!/^1{0,7}$/.test(bits)) throw new Error(`Huffman padding ${bits}`);
  return text;
}
