import type { Head } from "../../http/headers.ts";

/** Where a token is: a field, and what stands in front of the token there. */
export interface TokenPlace {
  readonly metadata: string;
  /** Compared without regard to case, as the names of schemes are (RFC 9110 §11.1). */
  readonly prefix: string;
}

/** A token, and where in the request it stood. */
export interface FoundToken {
  readonly text: string;
  readonly place: TokenPlace;
}

/**
 * The token of a head. "several": there is more than one, or its field is there more than once, so that nobody knows which one the
 * application would take.
 */
export function findToken(head: Head, places: readonly TokenPlace[]): FoundToken | "several" | undefined {
  let found: FoundToken | undefined;
  for (const place of places) {
    const { metadata, prefix } = place;
    let slot = 0;
    let isThere = false;
    for (const field of head.list.fields) {
      const value = field.slot ? (head.values[slot++] ?? "") : field.value;
      if (field.name !== metadata) continue;
      if (isThere) return "several";
      isThere = true;
      if (!startsWith(value, prefix)) continue;
      if (found !== undefined) return "several";
      found = { text: value.slice(prefix.length).trim(), place };
    }
  }
  return found;
}

function startsWith(value: string, prefix: string): boolean {
  return value.startsWith(prefix) || value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();
}
