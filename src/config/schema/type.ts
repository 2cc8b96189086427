import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { Tree } from "../tree.ts";

/** JSON and YAML alike: the file's own form of a value, such as "2s" for 2000. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/** A piece of JSON Schema (draft 2020-12). */
export type JsonSchema = { readonly [keyword: string]: Plain };

/** Where a value is being read: its path, and the pattern of that path in the schema, as `upstreams.*.timeout`. */
export interface Place {
  readonly path: Path;
  readonly pattern: string;
}

/**
 * What a key holds: one definition for reading, writing, the JSON Schema and the reference. T never includes undefined;
 * whether a value may be absent is a matter of its field.
 */
export interface Type<T> {
  /** With its article: `a duration`. */
  readonly noun: string;
  /** What may be written, for "expected ...": `a duration such as 250ms, 2s, 10m or 1h`. */
  readonly label: string;
  readonly shape: Shape;
  /**
   * Undefined: not readable. Of a mapping with unreadable parts the rest is given, so that as many mistakes as possible
   * are found at once; the value is what T says only when `reading` has no issues in the end.
   */
  read(tree: Tree, place: Place, reading: Reading): T | undefined;
  /** The value as the file would have it; a secret becomes `***`. */
  write(value: T): Plain;
  jsonSchema(): JsonSchema;
}

/** What a type consists of, for those who walk the schema. */
export type Shape =
  | { readonly kind: "scalar"; readonly words: readonly string[]; readonly secret: boolean }
  | { readonly kind: "list"; readonly item: Type<unknown> }
  | { readonly kind: "record"; readonly item: Type<unknown> }
  | { readonly kind: "object"; readonly fields: Fields };

/** A key of an object: what it holds, and what stands in when it is absent. */
export interface Field<T> {
  readonly type: Type<T & {}>;
  readonly doc: string;
  readonly absent: Absent<T>;
}

/** What holds where a key is left out. */
export type Absent<T> =
  | { readonly kind: "error" }
  /** Stays undefined, or is computed later: `text` says what from. */
  | { readonly kind: "undefined"; readonly text: string }
  | { readonly kind: "value"; readonly value: T & {} }
  /** As if an empty mapping stood there. */
  | { readonly kind: "empty" };

/** The keys of a mapping. */
export type Fields = { readonly [key: string]: Field<unknown> };

/** A key that must be there. */
export function required<T extends {}>(type: Type<T>, doc: string): Field<T> {
  return { type, doc, absent: { kind: "error" } };
}

/** A key that may be left out; `text` says what that means. */
export function optional<T extends {}>(type: Type<T>, doc: string, text = "none"): Field<T | undefined> {
  return { type, doc, absent: { kind: "undefined", text } };
}

/** A key with a default. */
export function preset<T extends {}>(type: Type<T>, value: T, doc: string): Field<T> {
  return { type, doc, absent: { kind: "value", value } };
}

/** A mapping that may be left out because all that it has may be. */
export function section<T extends {}>(type: Type<T>, doc: string): Field<T> {
  return { type, doc, absent: { kind: "empty" } };
}

/** The pattern of a key below a pattern. */
export function patternOf(parent: string, key: string): string {
  return parent === "" ? key : `${parent}.${key}`;
}
