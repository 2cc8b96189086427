import { formatPath } from "../issue.ts";
import { describeTree, isEmptied } from "../tree.ts";
import { asMap } from "./object.ts";
import type { Parsed } from "./parsed.ts";
import { type Plain, patternOf, type Type } from "./type.ts";

/** A list in which nothing stands twice. Items that substitution emptied are left out. */
export function list<T extends {}>(item: Type<T>): Type<readonly T[]> {
  return {
    noun: "a list",
    label: `a list, each item ${item.label}`,
    shape: { kind: "list", item },
    read(tree, place, reading) {
      if (tree.kind === "broken") return undefined;
      if (tree.kind !== "list") {
        const text = tree.kind === "scalar" && typeof tree.value === "string" && tree.substitution === undefined;
        reading.report(tree.start, place.path, {
          code: "wrong-type",
          message: `${formatPath(place.path)} is ${describeTree(tree)}, not a list`,
          expected: this.label,
          suggestion: text ? `[${tree.written}]` : undefined,
        });
        return undefined;
      }
      const values: T[] = [];
      let unreadable = false;
      const seen = new Set<Plain>();
      const names = tree.items.flatMap((child) => (child.kind === "scalar" ? (child.substitution?.names ?? []) : []));
      reading.substituted(place.path, { names, whole: false });
      for (const [index, child] of tree.items.entries()) {
        if (isEmptied(child)) continue;
        const path = [...place.path, index];
        reading.place(path, child.start, child.start); // so that a key that is missing in it is told where it stands
        const value = item.read(child, { path, pattern: place.pattern }, reading);
        if (value === undefined) {
          unreadable = true;
          continue;
        }
        // By its index in what is read, which is what later checks count by.
        reading.place([...place.path, values.length], child.start, child.start);
        values.push(value);
        const written = item.write(value);
        if (seen.has(written)) {
          const message = `${JSON.stringify(written)} stands twice in ${formatPath(place.path)}`;
          reading.report(child.start, path, { code: "no-effect", message, expected: "each item once" });
        }
        seen.add(written);
      }
      // Of a list without a readable item nobody can say that it is empty.
      return unreadable && values.length === 0 ? undefined : values;
    },
    write: (values) => values.map((value) => item.write(value)),
    jsonSchema: () => ({ type: "array", items: item.jsonSchema() }),
  };
}

/** How the keys of a record are checked and shown. */
export interface KeyRule {
  /** As it appears in the reference: `NAME`. */
  readonly placeholder: string;
  readonly label: string;
  readonly pattern: string;
  parse(key: string): Parsed<string>;
}

/** A mapping whose keys the user chooses. */
export function record<T extends {}>(rule: KeyRule, item: Type<T>): Type<ReadonlyMap<string, T>> {
  return {
    noun: "a mapping",
    label: `${rule.placeholder}: VALUE, each value ${item.label}`,
    shape: { kind: "record", item },
    read(tree, place, reading) {
      const map = asMap(tree, place, reading, this.label);
      if (map === undefined) return undefined;
      const values = new Map<string, T>();
      for (const entry of map.entries) {
        const path = [...place.path, entry.key];
        const parsed = rule.parse(entry.key);
        if (parsed.kind === "problem") {
          const { suggestion } = parsed;
          const message = entry.key.includes("${") ? "variables are not substituted in keys" : parsed.message;
          reading.report(entry.keyStart, path, { code: "invalid-value", message, expected: rule.label, suggestion });
        }
        if (isEmptied(entry.value)) continue;
        reading.place(path, entry.keyStart, entry.value.start);
        const value = item.read(entry.value, { path, pattern: patternOf(place.pattern, "*") }, reading);
        if (value !== undefined) values.set(entry.key, value);
      }
      return values;
    },
    write: (values) => Object.fromEntries([...values].map(([key, value]) => [key, item.write(value)])),
    jsonSchema: () => ({
      type: ["object", "null"],
      propertyNames: { pattern: rule.pattern },
      additionalProperties: item.jsonSchema(),
    }),
  };
}
