import type { ChangeKind, FieldChange } from "../../http/field-change.ts";

/** `HeaderValueOption`: a field that a service wants changed, whether or not it may be. */
export interface ServiceField {
  readonly name: string;
  readonly value: string;
  /** The deprecated `append`; undefined where it is not said. */
  readonly append: boolean | undefined;
  /** The number of the `HeaderAppendAction`. */
  readonly action: number;
}

/** A token of RFC 9110 §5.6.2 in lower case. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113 §8.2.1, and no other control characters either. */
const VALUE = /^(?![ \t])[\t -~\x80-\xff]*(?<![ \t])$/;

/** What says how a message is framed, whom it is for, or what only this sidecar may say. */
const KEPT = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-client-cert",
]);

/** Whether a field may be taken away or changed for a service that says so. */
export function mayChange(name: string): boolean {
  return NAME.test(name) && !KEPT.has(name) && !name.startsWith("outrigger-");
}

/** Is told the names of fields that are left as they are. */
export type LeftOut = (name: string) => void;

// What Envoy makes of `append` and `append_action` differs from place to place. Services are written for that, so it is the same here.

/** What is done to a request: what is not appended is set, and what is to be removed is removed last. */
export function requestChanges(
  fields: readonly ServiceField[],
  removed: readonly string[],
  leftOut: LeftOut,
): FieldChange[] {
  const removals = removed.map((name) => ({ name, value: "", how: "remove" as const, append: undefined, action: 0 }));
  return [
    ...changes(fields, ({ append }) => (append === true ? "append" : "set"), leftOut),
    ...changes(
      removals,
      () => "remove",
      () => {},
    ),
  ];
}

const actions: readonly ChangeKind[] = ["add", "absent", "set", "overwrite"];

/** What is done to the head of an answer. */
export function answerChanges(fields: readonly ServiceField[], leftOut: LeftOut): FieldChange[] {
  const how = ({ append, action }: ServiceField): ChangeKind =>
    append === undefined ? (actions[action] ?? "set") : append ? "add" : "set";
  return changes(fields, how, leftOut);
}

/** The fields of a denial, in which there is nothing to append to. */
export function denialFields(
  fields: readonly ServiceField[],
  leftOut: LeftOut,
): (readonly [name: string, value: string])[] {
  const set = fields.filter(({ append }) => append !== true);
  return changes(set, () => "add", leftOut).map(({ name, value }) => [name, value]);
}

function changes(
  fields: readonly ServiceField[],
  how: (field: ServiceField) => ChangeKind,
  leftOut: LeftOut,
): FieldChange[] {
  const allowed: FieldChange[] = [];
  for (const field of fields) {
    const name = field.name.toLowerCase();
    if (mayChange(name) && VALUE.test(field.value)) allowed.push({ name, value: field.value, how: how(field) });
    else leftOut(name);
  }
  return allowed;
}
