/**
 * Lengths in bits of the codes of RFC 7541 appendix B by symbol, EOS last. The code is canonical: codes of one length
 * follow each other in the order of their symbols, and each length goes on where the shorter one ended; so the lengths
 * are all there is to know.
 */
const LENGTHS: readonly number[] = [
  // 0x00: control characters
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28,
  // 0x20: space to slash, digits, colon to question mark
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  // 0x40: upper case
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  // 0x60: lower case
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  // 0x80: what is not ASCII
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
  22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27,
  24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26,
  27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  // 0x100: EOS
  30,
];

/** The symbol that must not be sent; a prefix of its code is the padding (RFC 7541 §5.2). */
export const EOS = 256;

/** One symbol's code: its `length` low bits, the first one highest. */
export interface HuffmanCode {
  readonly symbol: number;
  readonly code: number;
  readonly length: number;
}

/** The code, shortest and smallest first. */
export const HUFFMAN_CODE: readonly HuffmanCode[] = canonical(LENGTHS);

function canonical(lengths: readonly number[]): HuffmanCode[] {
  const order = lengths.map((length, symbol) => ({ symbol, length }));
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let next = 0;
  let width = 0;
  return order.map(({ symbol, length }) => {
    next <<= length - width;
    width = length;
    return { symbol, code: next++, length };
  });
}
