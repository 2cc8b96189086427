import { type Head, HeadBuilder, type HeaderTable } from "./headers.ts";

/** What is done to the fields of a head, by lower-case name: first removed, then set, then added. */
export interface FieldEditOptions {
  readonly remove: readonly string[];
  /** In place of what there is, or at the end. */
  readonly set: ReadonlyMap<string, string>;
  /** At the end, beside what there is. */
  readonly add: ReadonlyMap<string, string>;
}

/** Something that is done to heads. */
export interface HeadEdit {
  apply(head: Head): Head;
}

/** Several, one after the other; undefined where there is none. */
export function inOrder(...edits: readonly (HeadEdit | undefined)[]): HeadEdit | undefined {
  const all = edits.filter((edit) => edit !== undefined);
  return all.length < 2 ? all[0] : { apply: (head) => all.reduce((edited, edit) => edit.apply(edited), head) };
}

/** Edits heads in one way. */
export class FieldEdits implements HeadEdit {
  private readonly table: HeaderTable;
  private readonly options: FieldEditOptions;
  private readonly removed: ReadonlySet<string>;

  constructor(table: HeaderTable, options: FieldEditOptions) {
    this.table = table;
    this.options = options;
    this.removed = new Set(options.remove);
  }

  apply(head: Head): Head {
    const { set, add } = this.options;
    const builder = new HeadBuilder(this.table);
    const done = new Set<string>();
    const put = (name: string, value: string, secret: boolean): void =>
      builder.add(this.table.field(this.table.name(name), value, secret), value);
    for (const [name, value, secret] of head.entries()) {
      const replacement = set.get(name);
      if (replacement === undefined) {
        if (!this.removed.has(name)) put(name, value, secret);
      } else if (!done.has(name)) {
        done.add(name);
        put(name, replacement, secret);
      }
    }
    for (const [name, value] of set) if (!done.has(name)) put(name, value, false);
    for (const [name, value] of add) put(name, value, false);
    return builder.take();
  }
}
