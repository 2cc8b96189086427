import type { Field } from "../../http/headers.ts";
import type { EncoderTable } from "./encoder-table.ts";
import { Form, writeInteger, writeString } from "./wire.ts";

/** Octets of a slot's value that may go into the table for the sake of its name. */
const MAX_SLOT_VALUE = 128;

/** Writes one field in the shortest form there is (RFC 7541 §6); with `insert` it is added to the table if there is room. */
export function writeField(
  field: Field,
  value: string,
  table: EncoderTable,
  insert: boolean,
  out: Buffer,
  at: number,
): number {
  const name = field.name;
  if (field.secret) {
    return writeLiteral(name, value, Form.NEVER_INDEXED, Form.LITERAL_MASK, table.nameIndex(name), out, at);
  }
  const index = field.slot ? 0 : table.index(name, value);
  if (index !== 0) return writeInteger(index, Form.INDEXED, Form.INDEXED_MASK, out, at);
  const nameIndex = table.nameIndex(name);
  if (!insert || (field.slot && (nameIndex !== 0 || value.length > MAX_SLOT_VALUE)) || !table.fits(name, value)) {
    return writeLiteral(name, value, Form.NOT_INDEXED, Form.LITERAL_MASK, nameIndex, out, at);
  }
  const end = writeLiteral(name, value, Form.INCREMENTAL, Form.INCREMENTAL_MASK, nameIndex, out, at);
  table.insert(name, value);
  return end;
}

function writeLiteral(
  name: string,
  value: string,
  form: number,
  mask: number,
  nameIndex: number,
  out: Buffer,
  at: number,
): number {
  const afterIndex = writeInteger(nameIndex, form, mask, out, at);
  const afterName = nameIndex === 0 ? writeString(name, out, afterIndex) : afterIndex;
  return writeString(value, out, afterName);
}
