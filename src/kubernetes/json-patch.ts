/** A value of JSON. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
/** An object of JSON. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** An operation of RFC 6902: the two that this project needs. `path` is a JSON Pointer (RFC 6901). */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string };

/** Whether a value is an object, and no list. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What stands at a path of keys, numbers for lists; undefined where there is nothing. */
export function at(value: Json | undefined, ...keys: readonly (string | number)[]): Json | undefined {
  let here = value;
  for (const key of keys) {
    if (Array.isArray(here)) here = typeof key === "number" ? here[key] : undefined;
    else here = isObject(here) && Object.hasOwn(here, key) ? here[key] : undefined;
  }
  return here;
}

/** The text at a path; undefined where there is none. */
export function textAt(value: Json | undefined, ...keys: readonly string[]): string | undefined {
  const found = at(value, ...keys);
  return typeof found === "string" ? found : undefined;
}

/** The list at a path; empty where there is none. */
export function listAt(value: Json | undefined, ...keys: readonly string[]): readonly Json[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? found : [];
}

/** A JSON Pointer of keys, each escaped (RFC 6901 §3). */
export function pointer(...keys: readonly (string | number)[]): string {
  return keys.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The keys of a JSON Pointer. */
export function keysOf(path: string): readonly string[] {
  return path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * The operations that make `after` of `before`, object by object: a list that differs is replaced as a whole, since where an
 * entry belongs in it (init containers run in order) is a matter of the whole list.
 */
export function difference(before: JsonObject, after: JsonObject, path = ""): PatchOperation[] {
  const operations: PatchOperation[] = [];
  for (const key of Object.keys(before))
    if (!Object.hasOwn(after, key)) operations.push({ op: "remove", path: path + pointer(key) });
  for (const [key, value] of Object.entries(after)) {
    const here = path + pointer(key);
    const old = before[key];
    if (old === undefined) operations.push({ op: "add", path: here, value });
    else if (isObject(old) && isObject(value)) operations.push(...difference(old, value, here));
    else if (JSON.stringify(old) !== JSON.stringify(value)) operations.push({ op: "replace", path: here, value });
  }
  return operations;
}

/** A copy of a value in which an operation was done at a place that is there, or whose last key is new. */
export function patched(value: Json, place: readonly (string | number)[], operation: PatchOperation): Json {
  const [key, ...rest] = place;
  if (key === undefined) return operation.op === "remove" ? null : operation.value;
  if (Array.isArray(value))
    return value.map((entry, index) => (index === key ? patched(entry, rest, operation) : entry));
  if (!isObject(value)) return value;
  if (rest.length > 0 || operation.op !== "remove")
    return { ...value, [key]: patched(value[key] ?? null, rest, operation) };
  const { [key]: _removed, ...others } = value;
  return others;
}
