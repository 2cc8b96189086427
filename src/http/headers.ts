/**
 * Header lists, interned. A list that was seen before is the same object, so that whatever was found out about it (its
 * route, its validity, its encoded form) can be kept with it instead of being worked out again for every call.
 *
 * A list is a path in a trie of fields. A field that differs from call to call (`grpc-timeout`, `traceparent`, …) is a
 * *slot*: the list says that it stands there, the value lies beside the list, in `Head.values`, in the order of the slots.
 * Order and duplicates are therefore those of the wire. Strings hold bytes (latin1), so values are byte-exact.
 *
 * Invariants:
 * - two heads of one table with equal `list` have the same names in the same order, and the same values outside slots;
 * - a secret value is never part of a list that is kept: never-indexed fields are slots (RFC 7541 §6.2.3), save those
 *   whose value decides whether a head is valid;
 * - `values.length === list.slots`;
 * - names, values and lists that a table keeps are bounded; past the bound a list is made for one use and kept by nobody.
 */

/** A field's name, with what is true of it whatever its value. */
export interface HeaderName {
  readonly text: string;
  /** Stands in for a value that is not part of the list. */
  readonly slot: Field;
  /** The same, for a value that must leave as never indexed. */
  readonly secret: Field;
  /** Fixed fields by value; undefined for a name that is not kept. */
  readonly values: Map<string, Field> | undefined;
  /** Values are no longer kept: they turned out to differ from call to call. */
  varying: boolean;
  readonly alwaysSecret: boolean;
  /** The value decides whether a head is valid, so that it is never a slot. */
  readonly ruled: boolean;
}

/** One place in a header list. `value` is empty in a slot. Compare by identity. */
export class Field {
  readonly name: string;
  readonly value: string;
  readonly slot: boolean;
  readonly secret: boolean;
  /** Kept by its table: seen again, it is the same object. */
  readonly kept: boolean;

  constructor(name: string, value: string, kind: "fixed" | "slot" | "secret" | "fixed secret", kept: boolean) {
    this.name = name;
    this.value = value;
    this.slot = kind === "slot" || kind === "secret";
    this.secret = kind === "secret" || kind === "fixed secret";
    this.kept = kept;
  }
}

/** An ordered list of fields; equal lists of one table are the same object while the table keeps them. */
export class HeaderList {
  readonly parent: HeaderList | undefined;
  readonly field: Field | undefined;
  readonly length: number;
  readonly slots: number;
  /** Size after RFC 9113 §6.5.2 (name + value + 32 octets a field), slot values not counted. */
  readonly size: number;
  /** Kept by its table; only such a list is worth a cache entry. */
  readonly kept: boolean;
  /** A field of the request's target stands in a slot: the verdict on the list does not cover its value. */
  readonly targetSlots: boolean;
  /** It is the head of a CONNECT: what follows are octets of a tunnel (RFC 9113 §8.5). */
  readonly connect: boolean;
  /** `:protocol` stands in it, which only extended CONNECT has (RFC 8441 §4). */
  readonly extended: boolean;
  /** Verdicts of the rules of RFC 9113 §8.2 and §8.3 by role: null is valid, a string says what is wrong. */
  requestFault: string | null | undefined = undefined;
  responseFault: string | null | undefined = undefined;
  trailerFault: string | null | undefined = undefined;

  // --- the trie, owned by HeaderTable ---
  lastField: Field | undefined = undefined;
  lastChild: HeaderList | undefined = undefined;
  children: Map<Field, HeaderList> | undefined = undefined;

  private materialised: readonly Field[] | undefined = undefined;

  constructor(parent: HeaderList | undefined, field: Field | undefined, kept: boolean) {
    this.parent = parent;
    this.field = field;
    this.kept = kept;
    this.length = parent === undefined ? 0 : parent.length + 1;
    this.slots = (parent?.slots ?? 0) + (field?.slot ? 1 : 0);
    const isTarget = field?.slot === true && (field.name.startsWith(":") || field.name === "host");
    this.targetSlots = parent?.targetSlots === true || isTarget;
    this.connect = parent?.connect === true || (field?.name === ":method" && field.value === "CONNECT");
    this.extended = parent?.extended === true || field?.name === ":protocol";
    this.size = (parent?.size ?? 0) + (field === undefined ? 0 : field.name.length + field.value.length + 32);
  }

  get fields(): readonly Field[] {
    this.materialised ??= fieldsOf(this);
    return this.materialised;
  }
}

function fieldsOf(list: HeaderList): Field[] {
  const fields: Field[] = [];
  for (let at: HeaderList | undefined = list; at?.field !== undefined; at = at.parent) fields.push(at.field);
  return fields.reverse();
}

/** A header section: a list and the values of its slots. */
export class Head {
  readonly list: HeaderList;
  readonly values: readonly string[];

  constructor(list: HeaderList, values: readonly string[]) {
    this.list = list;
    this.values = values;
  }

  /** The first value of a lower-case name. */
  get(name: string): string | undefined {
    let slot = 0;
    for (const field of this.list.fields) {
      if (field.name === name) return field.slot ? this.values[slot] : field.value;
      if (field.slot) slot++;
    }
    return undefined;
  }

  /** Every field in order, as name, value, and whether it must never be indexed. */
  *entries(): IterableIterator<readonly [name: string, value: string, secret: boolean]> {
    let slot = 0;
    for (const field of this.list.fields) {
      yield [field.name, field.slot ? (this.values[slot++] ?? "") : field.value, field.secret];
    }
  }

  /** Size after RFC 9113 §6.5.2, in octets. */
  get size(): number {
    let size = this.list.size;
    for (const value of this.values) size += value.length;
    return size;
  }
}

/** Collects the fields of one head in order. Reused: `take` returns what was collected and starts anew. */
export class HeadBuilder {
  private readonly table: HeaderTable;
  /** Undefined between heads: the builder of an idle connection must not hold on to lists that the table let go. */
  private list: HeaderList | undefined = undefined;
  private values: string[] = NO_VALUES;

  constructor(table: HeaderTable) {
    this.table = table;
  }

  add(field: Field, value: string): void {
    const list = this.list ?? this.table.root;
    this.list = list.lastField === field ? list.lastChild : this.table.child(list, field);
    if (!field.slot) return;
    if (this.values === NO_VALUES) this.values = [value];
    else this.values.push(value);
  }

  take(): Head {
    const head = new Head(this.list ?? this.table.root, this.values);
    this.list = undefined;
    this.values = NO_VALUES;
    return head;
  }
}

const NO_VALUES: string[] = [];

/** Bounds of a HeaderTable, with the reasons for the defaults. */
export interface HeaderTableLimits {
  /** Names kept. A mesh uses some dozens. */
  readonly names: number;
  /** Values kept of one name before it counts as varying. */
  readonly valuesPerName: number;
  /** Values kept of `:path` and `:authority`: methods and services called. */
  readonly valuesPerTarget: number;
  /** Octets of a value that is worth keeping. */
  readonly valueSize: number;
  /** Lists kept, prefixes included: some 250 octets each. */
  readonly lists: number;
  /** Misses on a full table until it starts anew, so that a stranger's noise does not keep the regular lists out. */
  readonly missesUntilReset: number;
}

/** What bounds the memory of the table whatever peers send; docs/limits.md has the reasons. */
export const defaultHeaderTableLimits: HeaderTableLimits = {
  names: 512,
  valuesPerName: 64,
  valuesPerTarget: 512,
  valueSize: 256,
  lists: 8192,
  missesUntilReset: 50_000,
};

/** Names whose values differ from call to call; kept out of lists from the start. */
const VARYING = new Set([
  "grpc-timeout",
  "grpc-message",
  "grpc-status-details-bin",
  "grpc-trace-bin",
  "grpc-tags-bin",
  "traceparent",
  "tracestate",
  "baggage",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-request-id",
  "x-correlation-id",
  "idempotency-key",
  "content-length",
  "date",
  "endpoint-load-metrics-bin",
  "x-forwarded-for",
  "forwarded",
]);

/** Names whose value decides whether a head is valid: never slots, so that the verdict on a list holds for its heads. */
const RULED = new Set([":method", ":scheme", ":protocol", ":status", "te"]);

/** Names of what is called: they have many values that each come again, and go on being looked up past the bound. */
const TARGET = new Set([":path", ":authority"]);

/** Names whose values are secret whatever the sender says of them. */
const SECRET = new Set(["authorization", "cookie", "set-cookie", "proxy-authorization", "x-forwarded-client-cert"]);

/** Keeps names, fields and lists, within bounds. One a process (worker), handed to every connection. */
export class HeaderTable {
  root: HeaderList = new HeaderList(undefined, undefined, true);
  private names = new Map<string, HeaderName>();
  private lists = 0;
  private misses = 0;
  private readonly limits: HeaderTableLimits;

  constructor(limits: HeaderTableLimits = defaultHeaderTableLimits) {
    this.limits = limits;
  }

  /** Sizes, for tests and metrics. */
  get stats(): { names: number; lists: number } {
    return { names: this.names.size, lists: this.lists };
  }

  name(text: string): HeaderName {
    const known = this.names.get(text);
    if (known !== undefined) return known;
    const ruled = RULED.has(text);
    const small = this.names.size < this.limits.names && text.length <= this.limits.valueSize;
    const keep = small || ruled || TARGET.has(text);
    if (!keep) this.miss();
    const alwaysSecret = SECRET.has(text);
    const name: HeaderName = {
      text,
      slot: new Field(text, "", "slot", keep),
      secret: new Field(text, "", "secret", keep),
      values: keep ? new Map() : undefined,
      varying: !keep || alwaysSecret || VARYING.has(text),
      alwaysSecret,
      ruled,
    };
    if (keep) this.names.set(text, name);
    return name;
  }

  /** The field that stands for `name: value` in a list; a slot where the value is secret or varies. */
  field(name: HeaderName, value: string, neverIndexed: boolean): Field {
    if (neverIndexed || name.alwaysSecret) {
      return neverIndexed && (name.ruled || value === "")
        ? new Field(name.text, value, "fixed secret", false)
        : name.secret;
    }
    if (name.values === undefined || (name.varying && value !== "")) return name.slot;
    return name.values.get(value) ?? this.newField(name, name.values, value);
  }

  /** The empty value is always a fixed field: it can make a head invalid. */
  private newField(name: HeaderName, values: Map<string, Field>, value: string): Field {
    const target = TARGET.has(name.text);
    const full = values.size >= (target ? this.limits.valuesPerTarget : this.limits.valuesPerName);
    if ((full || value.length > this.limits.valueSize) && value !== "") {
      if (name.ruled) return new Field(name.text, value, "fixed", false);
      if (target) this.miss();
      else if (full) name.varying = true;
      return name.slot;
    }
    const field = new Field(name.text, value, "fixed", true);
    values.set(value, field);
    return field;
  }

  /** The list `list` with `field` at its end. */
  child(list: HeaderList, field: Field): HeaderList {
    if (list.lastField === field && list.lastChild !== undefined) return list.lastChild;
    const known = list.children?.get(field);
    if (known !== undefined) {
      list.lastField = field;
      list.lastChild = known;
      return known;
    }
    if (!list.kept || !field.kept || this.lists >= this.limits.lists) {
      this.miss();
      return new HeaderList(list, field, false);
    }
    const child = new HeaderList(list, field, true);
    list.children ??= new Map();
    list.children.set(field, child);
    list.lastField = field;
    list.lastChild = child;
    this.lists++;
    return child;
  }

  /** Makes a head of plain pairs; for answers of our own and for tests. Names must be lower case. */
  head(pairs: Iterable<readonly [name: string, value: string, secret?: boolean]>): Head {
    const builder = new HeadBuilder(this);
    for (const [text, value, secret] of pairs) builder.add(this.field(this.name(text), value, secret === true), value);
    return builder.take();
  }

  private miss(): void {
    if (++this.misses < this.limits.missesUntilReset) return;
    this.misses = 0;
    this.lists = 0;
    // Whoever still holds one of the old lists or names must not hold all of them by it.
    for (const name of this.names.values()) name.values?.clear();
    dismantle(this.root);
    this.names = new Map();
    this.root = new HeaderList(undefined, undefined, true);
  }
}

/** Takes a trie apart, without a call for each level: it is as deep as the longest list has fields. */
function dismantle(root: HeaderList): void {
  const left = [root];
  for (let list = left.pop(); list !== undefined; list = left.pop()) {
    for (const child of list.children?.values() ?? []) left.push(child);
    list.children = undefined;
    list.lastField = undefined;
    list.lastChild = undefined;
  }
}
