/** Texts that are remembered, and for each what was decided: a connection asks the same with every call. */
const MAX_KNOWN = 1024;
/** Longer ones are decided each time: strangers choose them, and a path may have 64 KiB. */
const LONGEST = 1024;

/** Remembers what was decided of a text; a text seen before costs one look. */
export function remembered<T extends NonNullable<unknown> | null>(decide: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (text.length > LONGEST) return decide(text);
    const before = known.get(text);
    if (before !== undefined) return before;
    if (known.size >= MAX_KNOWN) known.clear();
    const decided = decide(text);
    known.set(text, decided);
    return decided;
  };
}
