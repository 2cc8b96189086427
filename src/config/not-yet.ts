/** A key of the contract, or some of its words, that no code stands behind yet. */
interface NotYet {
  /** As a pattern: `*` is any name. */
  readonly key: string;
  /** Only these words; without them the whole key. */
  readonly words?: readonly string[];
}

/**
 * What the contract promises and this version does not do. Who builds a feature moves its line from here into
 * `schema.ts`; nothing else knows the difference.
 */
export const notYet: readonly NotYet[] = [{ key: "health" }, { key: "tap" }, { key: "errors" }];

/** Whether the whole key is still to come. */
export function keyIsComing(pattern: string): boolean {
  return notYet.some((line) => line.key === pattern && line.words === undefined);
}

/** Whether this word of a key that is there is still to come. */
export function wordIsComing(pattern: string, word: string): boolean {
  return notYet.some(({ key, words }) => key === pattern && words?.includes(word) === true);
}

/** The keys that are to come directly below a pattern. */
export function comingKeys(parent: string): readonly string[] {
  const prefix = parent === "" ? "" : `${parent}.`;
  return notYet
    .map(({ key }) => key)
    .filter((key) => keyIsComing(key) && key.startsWith(prefix))
    .map((key) => key.slice(prefix.length))
    .filter((key) => !key.includes("."));
}
