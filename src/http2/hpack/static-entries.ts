import type { HeaderList, HeaderTable } from "../../http/headers.ts";
import type { TableEntry } from "./dynamic-table.ts";
import { ENTRY_OVERHEAD, STATIC_TABLE } from "./static-table.ts";

/** By root of a header table, that is, by its generation: shared by all decoders of a table, gone with the generation. */
const byGeneration = new WeakMap<HeaderList, readonly TableEntry[]>();

/** The static table in terms of a header table; the entry of index 1 comes first. */
export function staticEntries(table: HeaderTable): readonly TableEntry[] {
  const known = byGeneration.get(table.root);
  if (known !== undefined) return known;
  const entries = STATIC_TABLE.map(([text, value]) => {
    const name = table.name(text);
    return { name, field: table.field(name, value, false), value, size: text.length + value.length + ENTRY_OVERHEAD };
  });
  byGeneration.set(table.root, entries);
  return entries;
}
