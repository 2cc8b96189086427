import { type Field, Head, HeadBuilder, type HeaderList, type HeaderTable } from "./headers.ts";

/** Lists whose answer is remembered; past it everything is worked out anew. */
const MEMORY = 1024;

/**
 * Takes fields out of heads by name. Whether a list has any is found out once for each list, so that a head without them,
 * which is nearly every one, passes at the cost of a look.
 */
export class HeadFilter {
  private readonly table: HeaderTable;
  private readonly drop: (name: string) => boolean;
  private readonly clean = new Set<HeaderList>();
  private last: HeaderList | undefined = undefined;

  constructor(table: HeaderTable, drop: (name: string) => boolean) {
    this.table = table;
    this.drop = drop;
  }

  apply(head: Head): Head {
    const { list } = head;
    if (list === this.last) return head;
    if (!this.clean.has(list)) {
      if (list.fields.some((field) => this.drop(field.name))) return this.without(head);
      if (!list.kept) return head;
      if (this.clean.size >= MEMORY) this.clean.clear();
      this.clean.add(list);
    }
    this.last = list;
    return head;
  }

  private without(head: Head): Head {
    const builder = new HeadBuilder(this.table);
    eachField(head, (field, value) => {
      if (!this.drop(field.name)) builder.add(field, value);
    });
    return builder.take();
  }
}

/** The head with `name` set to `value`, once: where it stands first or at the end. Other fields stay as they are. */
export function withField(table: HeaderTable, head: Head, name: string, value: string): Head {
  const only = slotOf(head, name);
  if (only !== undefined) {
    const values = head.values.slice();
    values[only] = value;
    return new Head(head.list, values);
  }
  const builder = new HeadBuilder(table);
  const replacement = table.field(table.name(name), value, false);
  let done = false;
  eachField(head, (field, old) => {
    if (field.name !== name) builder.add(field, old);
    else if (!done) {
      builder.add(replacement, value);
      done = true;
    }
  });
  if (!done) builder.add(replacement, value);
  return builder.take();
}

/** The head with a field more at its end, which has none of that name. A secret is never indexed. */
export function withAppended(table: HeaderTable, head: Head, name: string, value: string): Head {
  const field = table.field(table.name(name), value, false);
  return new Head(table.child(head.list, field), field.slot ? [...head.values, value] : head.values);
}

/** The slot in which the one field of that name stands; undefined where it is fixed, absent, or there are several. */
function slotOf(head: Head, name: string): number | undefined {
  let slot = 0;
  let found: number | undefined;
  for (const field of head.list.fields) {
    if (field.name === name) {
      if (!field.slot || found !== undefined) return undefined;
      found = slot;
    }
    if (field.slot) slot++;
  }
  return found;
}

function eachField(head: Head, visit: (field: Field, value: string) => void): void {
  let slot = 0;
  for (const field of head.list.fields) visit(field, field.slot ? (head.values[slot++] ?? "") : field.value);
}
