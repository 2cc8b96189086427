import { BinaryReader, type WireType } from "@bufbuild/protobuf/wire";

/** Reads the fields of a message: each is handed to `take`, and passed over where that does not take it. Throws where it is no message. */
export function readFields(
  octets: Uint8Array,
  take: (reader: BinaryReader, field: number, wire: WireType) => boolean,
): void {
  const reader = new BinaryReader(octets);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (!take(reader, field, wire)) reader.skip(wire, field);
  }
}

/** What reads a field, by its number. */
export type FieldReaders = Readonly<Record<number, (reader: BinaryReader) => unknown>>;

/** Hands each field that is known to its reader, and passes over the others. */
export function eachField(octets: Uint8Array, readers: FieldReaders): void {
  readFields(octets, (reader, field) => {
    const read = readers[field];
    read?.(reader);
    return read !== undefined;
  });
}
