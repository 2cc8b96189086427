import { field } from "../core/json-field.ts";

/** What a verified token says of who makes a call, or for whom it is made. */
export interface CallToken {
  /** The provider by whose keys it was verified. */
  readonly provider: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * What a claim says: one of the whole name, else by the names on the way to it, with dots between them. A list says each of its
 * elements; only texts, numbers and truth values say anything.
 */
export function claimValues(claims: Readonly<Record<string, unknown>>, claim: string): readonly string[] {
  return Object.hasOwn(claims, claim) ? texts(claims[claim]) : valuesAt(claims, claim.split("."));
}

/** The same by the names on the way alone. */
export function valuesAt(claims: unknown, path: readonly string[]): readonly string[] {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return [];
    value = field(value, name);
  }
  return texts(value);
}

function texts(value: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((one) =>
    typeof one === "string" || typeof one === "number" || typeof one === "boolean" ? [String(one)] : [],
  );
}
