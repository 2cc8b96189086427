import { remembered } from "../../core/remembered.ts";
import type { CompileRegex } from "./permission.ts";

/**
 * Loads RE2: what Consul's patterns are written for, and in time that is linear in the text, which a stranger sends. A sidecar
 * without such intentions does without the library.
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

/** For intentions that have none. */
export const noRegex: CompileRegex = () => undefined;
