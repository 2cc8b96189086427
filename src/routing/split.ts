/** One of several ways, with its share. */
export interface Way<T> {
  readonly share: number;
  readonly to: T;
}

/** Chooses one of several ways by their shares, which sum to 1. `point`: from 0 up to, but not including, 1. */
export function chooseWay<T>(ways: readonly Way<T>[], point: number): T | undefined {
  let left = point;
  for (const { share, to } of ways) {
    if (left < share) return to;
    left -= share;
  }
  // What rounding has left over is the last one's.
  return ways.at(-1)?.to;
}

/** The place of a key between 0 and 1, the same in every process: FNV-1a, 32 bits, with its bits mixed. */
export function pointOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
