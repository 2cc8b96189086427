import { compressionError } from "./compression-error.ts";
import { EOS, HUFFMAN_CODE } from "./huffman-code.ts";
import { readLatin1 } from "./latin1.ts";

/**
 * Decodes by looking at twelve bits at a time, which hold one or two whole symbols of all but rare text. Codes longer
 * than that (controls, non-ASCII and some punctuation) are found by their length. It takes a quarter less time than a
 * state machine over nibbles, and its 16 KiB table stays in the first-level cache, as that of one over bytes would not.
 */

/** Bits looked at together. */
const PEEK = 12;

/**
 * What the next bits hold, or 0 where their first code is longer than PEEK. From the low end: bits to move on by (5
 * bits wide, so that a shift by the entry is a shift by it), three bits unused, the first symbol, the second symbol,
 * and 1 if there is a second.
 */
const pairs = new Int32Array(1 << PEEK);

/** Bits of the first symbol alone, by the same index. */
const firstLength = new Uint8Array(1 << PEEK);

/** For the codes longer than PEEK, by length: the first code, how many there are, and where their symbols begin. */
const longFirst = new Int32Array(32);
const longCount = new Int32Array(32);
const longOffset = new Int32Array(32);
const longSymbols = new Uint16Array(HUFFMAN_CODE.length);
const LONGEST = 30;

fillTables();

function fillTables(): void {
  const single = new Int32Array(1 << PEEK);
  let longs = 0;
  for (const { symbol, code, length } of HUFFMAN_CODE) {
    if (length <= PEEK) {
      const begin = code << (PEEK - length);
      const end = (code + 1) << (PEEK - length);
      single.fill((symbol << 8) | length, begin, end);
      firstLength.fill(length, begin, end);
      continue;
    }
    if (longCount[length] === 0) {
      longFirst[length] = code;
      longOffset[length] = longs;
    }
    longCount[length] = (longCount[length] ?? 0) + 1;
    longSymbols[longs++] = symbol;
  }
  for (let bits = 0; bits < pairs.length; bits++) {
    const first = single[bits] ?? 0;
    if (first === 0) continue;
    const length = first & 31;
    const second = single[(bits << length) & (pairs.length - 1)] ?? 0;
    const both = length + (second & 31);
    pairs[bits] = second !== 0 && both <= PEEK ? (1 << 24) | ((second >> 8) << 16) | (first + both - length) : first;
  }
}

/** Octets of code that one string may have; a limit that RFC 7541 §7.4 asks for, above that of any header list. */
const MAX_CODE = 512 * 1024;
/** The shortest code has five bits, and pairs are written whole. Memory that is never written is never there. */
const output = Buffer.allocUnsafeSlow(Math.ceil((MAX_CODE * 8) / 5) + 1);

/**
 * The text, as latin1, that `input` holds in Huffman code from `start` to `end`. Throws for an EOS symbol, for padding
 * that is longer than seven bits, and for padding that is not the beginning of EOS (RFC 7541 §5.2).
 */
export function decodeHuffman(input: Uint8Array, start: number, end: number): string {
  if (end - start > MAX_CODE) throw compressionError("string too long");
  const length = decode(input, start, end);
  if (length === INVALID) throw compressionError("invalid huffman code");
  return readLatin1(output, 0, length);
}

const INVALID = -1;

/** Decodes into `output`; returns how many octets came out, or INVALID. */
function decode(input: Uint8Array, start: number, end: number): number {
  let at = start;
  let out = 0;
  /** Bits not yet consumed, the next one highest, zeros after the last. */
  let window = 0;
  let bits = 0;
  for (;;) {
    if (bits < PEEK) {
      if (at + 1 < end) {
        window |= (((input[at] as number) << 8) | (input[at + 1] as number)) << (16 - bits);
        bits += 16;
        at += 2;
      } else {
        if (at < end) {
          window |= (input[at++] as number) << (24 - bits);
          bits += 8;
        }
        if (bits < PEEK) break;
      }
    }
    const pair = pairs[window >>> (32 - PEEK)] as number;
    if (pair !== 0) {
      output[out] = pair >> 8;
      output[out + 1] = pair >> 16;
      out += 1 + (pair >> 24);
      window <<= pair;
      bits -= pair & 31;
      continue;
    }
    // A long code: fill the window, if need be with the beginning of an octet that is then read again.
    while (bits <= 24 && at < end) {
      window |= (input[at++] as number) << (24 - bits);
      bits += 8;
    }
    if (at < end) window |= (input[at] as number) >> (bits - 24);
    const length = longLength(window, at < end ? 32 : bits);
    if (length === 0) return INVALID;
    const code = window >>> (32 - length);
    output[out++] = longSymbols[(longOffset[length] as number) + code - (longFirst[length] as number)] as number;
    window <<= length;
    bits -= length;
    if (bits < 0) {
      window |= (input[at++] as number) << (24 - bits);
      bits += 8;
    }
  }
  // Fewer bits are left than the table looks at: whole symbols as long as they fit, then padding.
  while (bits > 0) {
    const ones = (1 << (PEEK - bits)) - 1;
    const next = (window >>> (32 - PEEK)) | ones;
    const length = firstLength[next] as number;
    if (length === 0 || length > bits) return bits < 8 && next === (1 << PEEK) - 1 ? out : INVALID;
    output[out++] = (pairs[next] as number) >> 8;
    window <<= length;
    bits -= length;
  }
  return out;
}

/** Bits of the long code that `window` begins with; 0 if none of the `bits` valid ones make one, or only EOS. */
function longLength(window: number, bits: number): number {
  for (let length = PEEK + 1; length <= bits && length <= LONGEST; length++) {
    const above = (window >>> (32 - length)) - (longFirst[length] as number);
    if (above < 0 || above >= (longCount[length] as number)) continue;
    return longSymbols[(longOffset[length] as number) + above] === EOS ? 0 : length;
  }
  return 0;
}
