import { writeLatin1 } from "./latin1.ts";

/** First octets of the representations of RFC 7541 §6, and the masks of the integers in them. */
export const Form = {
  INDEXED: 0x80,
  INDEXED_MASK: 0x7f,
  INCREMENTAL: 0x40,
  INCREMENTAL_MASK: 0x3f,
  SIZE_UPDATE: 0x20,
  SIZE_UPDATE_MASK: 0x1f,
  NEVER_INDEXED: 0x10,
  NOT_INDEXED: 0x00,
  LITERAL_MASK: 0x0f,
  STRING_MASK: 0x7f,
} as const;

/** Writes an integer (RFC 7541 §5.1) behind `flags`, the bits of its first octet that `mask` leaves; returns the offset after it. */
export function writeInteger(value: number, flags: number, mask: number, out: Buffer, at: number): number {
  if (value < mask) {
    out[at] = flags | value;
    return at + 1;
  }
  out[at++] = flags | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = 0x80 | (rest & 0x7f);
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

/** Writes a string literal as it is: Huffman code would save octets and cost time at both ends (RFC 7541 §5.2). */
export function writeString(text: string, out: Buffer, at: number): number {
  return writeLatin1(text, out, writeInteger(text.length, 0, Form.STRING_MASK, out, at));
}

/** Octets that `writeString` writes. */
export function stringSize(text: string): number {
  const length = text.length;
  if (length < Form.STRING_MASK) return length + 1;
  let octets = length + 2;
  for (let rest = length - Form.STRING_MASK; rest >= 0x80; rest = Math.floor(rest / 0x80)) octets++;
  return octets;
}
