import { readVarint, skip, varint } from "./protobuf-wire.ts";

/**
 * The two messages of grpc.health.v1.Health/Check, by hand, for a protobuf library would be most of what is loaded for them:
 *
 *     message HealthCheckRequest { string service = 1; }
 *     message HealthCheckResponse { ServingStatus status = 1; }   // UNKNOWN = 0, SERVING = 1, NOT_SERVING = 2
 *
 * A gRPC message stands behind an octet that says whether it is compressed and four of length (gRPC's PROTOCOL-HTTP2,
 * "Length-Prefixed-Message").
 */

const PREFIX = 5;
/** Field 1, length-delimited: a tag is (field << 3) | wire type. */
const SERVICE_TAG = 0x0a;
/** Field 1, varint. */
const STATUS_TAG = 0x08;
const SERVING = 1;

/** The numbers of `ServingStatus` that a server says; SERVICE_UNKNOWN is for Watch only. */
const statusNumbers = { SERVING, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;

/** The longest name of a service that is asked for, in octets. */
export const MAX_SERVICE_NAME = 1024;

/** A request with its prefix. "" stands for the server as a whole and is left out, as proto3 has it. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, "utf8");
  const length = varint(name.length);
  const message = name.length === 0 ? [] : [SERVICE_TAG, ...length, ...name];
  const buffer = Buffer.alloc(PREFIX + message.length);
  buffer.writeUInt32BE(message.length, 1);
  buffer.set(message, PREFIX);
  return buffer;
}

/** What a response with its prefix says, or undefined where it is none. */
export function decodeResponse(buffer: Buffer): "SERVING" | "NOT_SERVING" | undefined {
  if (buffer.length < PREFIX || buffer[0] !== 0 || buffer.readUInt32BE(1) !== buffer.length - PREFIX) return undefined;
  let status = 0;
  for (let at = PREFIX; at < buffer.length; ) {
    const tag = readVarint(buffer, at);
    if (tag === undefined) return undefined;
    const end = skip(buffer, tag.end, tag.value & 7);
    if (end === undefined || end > buffer.length) return undefined;
    // Of a field that stands twice the last one counts.
    if (tag.value === STATUS_TAG) status = readVarint(buffer, tag.end)?.value ?? 0;
    at = end;
  }
  return status === SERVING ? "SERVING" : "NOT_SERVING";
}

/** The service that a request with its prefix asks for, or undefined where it is none. */
export function decodeRequest(buffer: Buffer): string | undefined {
  if (buffer.length < PREFIX || buffer[0] !== 0 || buffer.readUInt32BE(1) !== buffer.length - PREFIX) return undefined;
  let service = "";
  for (let at = PREFIX; at < buffer.length; ) {
    const tag = readVarint(buffer, at);
    if (tag === undefined) return undefined;
    const end = skip(buffer, tag.end, tag.value & 7);
    if (end === undefined || end > buffer.length) return undefined;
    if (tag.value === SERVICE_TAG) service = buffer.toString("utf8", readVarint(buffer, tag.end)?.end, end);
    at = end;
  }
  return service;
}

/** A response with its prefix. */
export function encodeResponse(status: keyof typeof statusNumbers): Buffer {
  return Buffer.from([0, 0, 0, 0, 2, STATUS_TAG, statusNumbers[status]]);
}
