/** What Buffer has and its type does not tell: the parts of `toString` and `write` that need no look at the encoding. */
interface Latin1Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number, length: number): number;
}

declare global {
  interface Buffer extends Latin1Buffer {}
}

/** Octets from which on the native write, some 45 ns whatever the length, costs less than a loop. */
const NATIVE_WRITE = 24;

/** The octets of `buffer` from `start` to `end` as a string. */
export function readLatin1(buffer: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length > 4) return buffer.latin1Slice(start, end);
  if (length === 0) return "";
  const first = buffer[start] as number;
  if (length === 1) return String.fromCharCode(first);
  const second = buffer[start + 1] as number;
  if (length === 2) return String.fromCharCode(first, second);
  const third = buffer[start + 2] as number;
  if (length === 3) return String.fromCharCode(first, second, third);
  return String.fromCharCode(first, second, third, buffer[start + 3] as number);
}

/** Writes `text`, whose characters are octets, at `at`; returns the offset after it. */
export function writeLatin1(text: string, buffer: Buffer, at: number): number {
  const length = text.length;
  if (length >= NATIVE_WRITE) {
    buffer.latin1Write(text, at, length);
  } else {
    for (let i = 0; i < length; i++) buffer[at + i] = text.charCodeAt(i);
  }
  return at + length;
}
