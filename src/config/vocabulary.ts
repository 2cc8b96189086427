import { comingKeys, keyIsComing, wordIsComing } from "./not-yet.ts";
import type { Vocabulary } from "./reading.ts";
import { schema } from "./schema.ts";
import { walkSchema } from "./walk.ts";

/** What there is to say about words that the schema does not have at the place where they stand. */
export const vocabulary: Vocabulary = { keyIsComing, wordIsComing, comingKeys, homesOf };

/** The parents of keys of this name, as a reader writes them: `upstreams.NAME`. The root is `the top level`. */
function homesOf(key: string): readonly string[] {
  const homes = walkSchema(schema)
    .filter((candidate) => candidate.key === key)
    .map(({ pattern }) => pattern.slice(0, Math.max(0, pattern.length - key.length - 1)).replace("*", "NAME"));
  return homes.slice(0, 3).map((home) => (home === "" ? "the top level" : home));
}
