import { fieldOf } from "../core/field-of.ts";

/** What a verified token says of who makes a call, or for whom it is made. */
export interface CallToken {
  /** The provider by whose keys it was verified. */
  readonly provider: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** What a claim says, by the names on the way to it; a list says each of its elements. Only texts, numbers and truth values count. */
export function claimValues(claims: unknown, path: readonly string[]): readonly string[] {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return [];
    value = fieldOf(value, name);
  }
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((one) =>
    typeof one === "string" || typeof one === "number" || typeof one === "boolean" ? [String(one)] : [],
  );
}
