import { closest } from "../closest.ts";
import { formatPath } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { describeTree, isEmptied, isNothing, type MapEntry, type MapTree, type Tree } from "../tree.ts";
import { quote } from "./parsed.ts";
import { type Field, type Fields, type JsonSchema, type Place, type Plain, patternOf, type Type } from "./type.ts";

/** What reading an object gives: optional fields may be undefined, others not. */
export type ValuesOf<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A mapping with known keys. */
export function object<F extends Fields>(fields: F): Type<ValuesOf<F>> {
  const keys = Object.keys(fields);
  return {
    noun: "a mapping",
    label: `a mapping with any of ${keys.join(", ")}`,
    shape: { kind: "object", fields },
    read(tree, place, reading) {
      const map = asMap(tree, place, reading, this.label);
      if (map === undefined) return undefined;
      const values: Record<string, unknown> = {};
      const given = new Map(map.entries.map((entry) => [entry.key, entry]));
      const misspelt = new Set<string | undefined>();
      for (const [index, entry] of map.entries.entries()) {
        if (Object.hasOwn(fields, entry.key)) continue;
        const slipped = slippedFrom(entry.key, map.entries[index - 1], fields);
        misspelt.add(reportUnknown(entry, place, reading, keys, slipped));
      }
      for (const [key, field] of Object.entries(fields)) {
        const entry = given.get(key);
        // One mistake is reported once: what is misspelt is not missing as well.
        if (entry === undefined && misspelt.has(key) && field.absent.kind === "error") continue;
        values[key] = readField(key, field, entry, map, place, reading);
      }
      // The loop above has just given each field what its own type read; only the compiler cannot follow it.
      return values as ValuesOf<F>;
    },
    write(value) {
      const plain: Record<string, Plain> = {};
      for (const [key, field] of Object.entries(fields)) {
        const content = (value as Readonly<Record<string, unknown>>)[key];
        if (content !== undefined && content !== null) plain[key] = field.type.write(content);
      }
      return plain;
    },
    jsonSchema: () => objectSchema(fields),
  };
}

function readField(
  key: string,
  field: Field<unknown>,
  entry: MapEntry | undefined,
  map: MapTree,
  parent: Place,
  reading: Reading,
): unknown {
  const place = { path: [...parent.path, key], pattern: patternOf(parent.pattern, key) };
  const present = entry !== undefined && (field.absent.kind === "error" || !isEmptied(entry.value));
  if (present) {
    reading.place(place.path, entry.keyStart, entry.value.start);
    return field.type.read(entry.value, place, reading);
  }
  switch (field.absent.kind) {
    case "value":
      return field.absent.value;
    case "undefined":
      return undefined;
    case "empty":
      return field.type.read({ kind: "map", start: map.start, entries: [] }, place, reading);
    case "error": {
      const where = formatPath(parent.path);
      const message = `missing key "${key}"${where === "" ? "" : ` in ${where}`}`;
      reading.reportKey(parent.path, { code: "missing-key", message, expected: `${key}: ${field.type.label}` });
      return undefined;
    }
  }
}

/** Nothing behind a key stands for an empty mapping, as where all that was below it is commented out. */
export function asMap(tree: Tree, place: Place, reading: Reading, label: string): MapTree | undefined {
  if (tree.kind === "map") return tree;
  if (tree.kind === "broken") return undefined;
  if (isNothing(tree)) return { kind: "map", start: tree.start, entries: [] };
  const what = place.path.length === 0 ? "the file" : formatPath(place.path);
  reading.report(tree.start, place.path, {
    code: "wrong-type",
    message: `${what} is ${describeTree(tree)}, not a mapping`,
    expected: label,
  });
  return undefined;
}

/** Gives the key that was probably meant. */
function reportUnknown(
  entry: MapEntry,
  place: Place,
  reading: Reading,
  keys: readonly string[],
  slipped: string | undefined,
): string | undefined {
  const { key, keyStart } = entry;
  const path = [...place.path, key];
  if (reading.vocabulary.keyIsComing(patternOf(place.pattern, key))) {
    const message = `${formatPath(path)} is not yet supported`;
    const expected = "no such key in this version";
    reading.report(keyStart, path, { code: "not-yet-supported", message, expected });
    return undefined;
  }
  const near = closest(key, [...keys, ...reading.vocabulary.comingKeys(place.pattern)]);
  const where = formatPath(place.path);
  reading.report(keyStart, path, {
    code: "unknown-key",
    message: `unknown key ${quote(key)}${where === "" ? "" : ` in ${where}`}`,
    expected: expectedKey(key, keys, near === undefined ? reading.vocabulary.homesOf(key) : [], slipped),
    suggestion: slipped === undefined ? near : undefined,
  });
  return near;
}

function expectedKey(
  key: string,
  keys: readonly string[],
  homes: readonly string[],
  slipped: string | undefined,
): string {
  if (key === "<<") return "no merge keys, which YAML 1.2 does not have";
  if (slipped !== undefined) return `${key} indented below ${slipped}, which is empty, or one of ${keys.join(", ")}`;
  if (homes.length > 0) return `${key} under ${homes.join(" or ")}`;
  if (keys.length === 0) return "no keys here";
  return keys.length === 1 ? `${keys[0]}` : `one of ${keys.join(", ")}`;
}

/** The key above, where it is empty and this one may have been meant to stand below it. */
function slippedFrom(key: string, above: MapEntry | undefined, fields: Fields): string | undefined {
  if (above === undefined || !isNothing(above.value) || !Object.hasOwn(fields, above.key)) return undefined;
  const shape = fields[above.key]?.type.shape;
  const fits = shape?.kind === "record" || (shape?.kind === "object" && Object.hasOwn(shape.fields, key));
  return fits ? above.key : undefined;
}

function objectSchema(fields: Fields): JsonSchema {
  const properties: Record<string, Plain> = {};
  const needed: string[] = [];
  for (const [key, { type, doc, absent }] of Object.entries(fields)) {
    const fallback = absent.kind === "value" ? { default: type.write(absent.value) } : {};
    properties[key] = { ...type.jsonSchema(), description: doc, ...fallback };
    if (absent.kind === "error") needed.push(key);
  }
  return {
    type: needed.length > 0 ? "object" : ["object", "null"],
    properties,
    additionalProperties: false,
    ...(needed.length > 0 ? { required: needed } : {}),
  };
}
