// The wire format of protobuf, as far as a few small messages need it that are not worth a library.

/** Where a field's value ends. Fields that are not known are passed over, as a newer server may send them. */
export function skip(buffer: Buffer, at: number, wireType: number): number | undefined {
  switch (wireType) {
    case 0:
      return readVarint(buffer, at)?.end;
    case 1:
      return at + 8;
    case 2: {
      const length = readVarint(buffer, at);
      return length === undefined ? undefined : length.end + length.value;
    }
    case 5:
      return at + 4;
    default:
      return undefined;
  }
}

/** The octets of a varint. */
export function varint(value: number): number[] {
  const octets: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) octets.push((rest & 127) | 128);
  return [...octets, rest];
}

/** A varint below 2^53; longer ones are no length, tag or number that is read here. */
export function readVarint(
  buffer: Buffer,
  start: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let at = start, scale = 1; at < buffer.length && at < start + 7; at++, scale *= 128) {
    const octet = buffer.readUInt8(at);
    value += (octet & 127) * scale;
    if (octet < 128) return { value, end: at + 1 };
  }
  return undefined;
}
