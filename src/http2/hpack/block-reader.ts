import { compressionError } from "./compression-error.ts";
import { decodeHuffman } from "./huffman.ts";
import { readLatin1 } from "./latin1.ts";

/** Octets of an integer after the first; five hold 35 bits, more than any integer we allow. */
const MAX_CONTINUATION = 5;
/** RFC 7541 §5.1 leaves the limit to the implementation; no length or index that makes sense comes near this one. */
const MAX_INTEGER = 2 ** 31 - 1;

const NOTHING = Buffer.alloc(0);

/** Reads the integers and strings of one header block (RFC 7541 §5). Reused from block to block. */
export class BlockReader {
  /** Offset of the next octet. */
  at = 0;
  end = 0;
  private buffer: Buffer = NOTHING;

  open(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  /** Lets go of the buffer, which is not ours. */
  close(): void {
    this.buffer = NOTHING;
  }

  /** The next octet begins a table size update (RFC 7541 §6.3). */
  get atSizeUpdate(): boolean {
    return this.at < this.end && ((this.buffer[this.at] as number) & 0xe0) === 0x20;
  }

  octet(): number {
    if (this.at >= this.end) throw compressionError("header block ends within a field");
    return this.buffer[this.at++] as number;
  }

  /** An integer whose first octet was read: `mask` covers its prefix (RFC 7541 §5.1). */
  integer(first: number, mask: number): number {
    const prefix = first & mask;
    return prefix < mask ? prefix : this.longInteger(mask);
  }

  private longInteger(prefix: number): number {
    let value = prefix;
    let weight = 1;
    for (let count = 0; count < MAX_CONTINUATION; count++) {
      const octet = this.octet();
      value += (octet & 0x7f) * weight;
      if (octet < 0x80) {
        if (value > MAX_INTEGER) break;
        return value;
      }
      weight *= 128;
    }
    throw compressionError("integer too large");
  }

  /** A string literal, its octets as latin1 (RFC 7541 §5.2). */
  string(): string {
    const first = this.octet();
    const start = this.skipLength(first);
    const end = this.at;
    if (first < 0x80) return readLatin1(this.buffer, start, end);
    return decodeHuffman(this.buffer, start, end);
  }

  /** Passes over a string literal; it must be as well-formed as one that is read. */
  skipString(): void {
    const first = this.octet();
    const start = this.skipLength(first);
    if (first >= 0x80) decodeHuffman(this.buffer, start, this.at);
  }

  /** Reads a string's length and moves behind the string; returns where it begins. */
  private skipLength(first: number): number {
    const length = this.integer(first, 0x7f);
    const start = this.at;
    if (length > this.end - start) throw compressionError("string runs past the end of the header block");
    this.at = start + length;
    return start;
  }
}
