import { remembered } from "./remembered.ts";

/** A regular expression, as a function that says whether a whole text matches; undefined for a text that is none. */
export type CompileRegex = (pattern: string) => ((text: string) => boolean) | undefined;

/**
 * Loads RE2: what Consul's patterns are written for, and in time that is linear in the text, which a stranger sends. A sidecar
 * without such patterns does without the library.
 */
export async function loadRegex(): Promise<CompileRegex> {
  const { RE2JS } = await import("re2js");
  return (pattern) => {
    try {
      const compiled = RE2JS.compile(pattern);
      return remembered((text) => compiled.matches(text));
    } catch {
      return undefined;
    }
  };
}

/** For what has none. */
export const noRegex: CompileRegex = () => undefined;
