/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * How far counts are from what was expected, as the chi-square statistic. With k counts it stays below k - 1 +
 * 4 * sqrt(2 * (k - 1)) but for about one seed in some thousands.
 */
export function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, at) => {
    const mean = expected[at] ?? Number.NaN;
    return sum + (count - mean) ** 2 / mean;
  }, 0);
}

/** The bound of `chiSquare` for so many counts. */
export function chiSquareBound(counts: number): number {
  return counts - 1 + 4 * Math.sqrt(2 * (counts - 1));
}
