import { type Head, HeadBuilder, type HeaderTable } from "./headers.ts";

/**
 * What is done with one field of a head, by lower-case name:
 *
 * - set: it has this value and no other;
 * - add: this value stands beside those that there are;
 * - append: the same, but only where there is one;
 * - overwrite: set, but only where there is one;
 * - absent: set, but only where there is none;
 * - remove: it is not there.
 */
export type ChangeKind = "set" | "add" | "append" | "overwrite" | "absent" | "remove";

/** What is done to one field of a head. */
export interface FieldChange {
  readonly name: string;
  readonly value: string;
  readonly how: ChangeKind;
}

/** The head after every change, in their order. */
export function changeHead(table: HeaderTable, head: Head, changes: readonly FieldChange[]): Head {
  if (changes.length === 0) return head;
  let entries = [...head.entries()];
  for (const { name, value, how } of changes) {
    const isThere = entries.some(([other]) => other === name);
    if (how === "absent" ? isThere : (how === "append" || how === "overwrite") && !isThere) continue;
    if (how !== "add" && how !== "append") entries = entries.filter(([other]) => other !== name);
    if (how !== "remove") entries.push([name, value, false]);
  }
  const builder = new HeadBuilder(table);
  for (const [name, value, secret] of entries) builder.add(table.field(table.name(name), value, secret), value);
  return builder.take();
}
