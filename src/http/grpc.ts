import { Status } from "./reason.ts";

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout` (at most 8 digits and a unit), or undefined where it is malformed. */
export function parseTimeout(text: string): number | undefined {
  const unit = UNIT_MS[text.slice(-1)];
  const digits = text.slice(0, -1);
  if (unit === undefined || digits.length === 0 || digits.length > 8 || !/^[0-9]+$/.test(digits)) return undefined;
  return Number(digits) * unit;
}

/** A `grpc-timeout` of at most `ms` milliseconds, in the finest unit that 8 digits allow; never more than is left. */
export function formatTimeout(ms: number): string {
  if (ms <= 0) return "0n";
  if (ms < 100) return `${Math.max(1, Math.floor(ms * 1e6))}n`;
  if (ms < 99_999) return `${Math.floor(ms * 1e3)}u`;
  if (ms < 99_999_999) return `${Math.floor(ms)}m`;
  return `${Math.min(99_999_999, Math.floor(ms / 1000))}S`;
}

/** Octets of a grpc-message of ours; a longer one is cut. */
const MAX_MESSAGE = 1024;

/** Percent-encodes a `grpc-message` as gRPC's PROTOCOL-HTTP2 has it: everything but printable ASCII, and `%`. */
export function encodeMessage(text: string): string {
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const piece =
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    if (out.length + piece.length > MAX_MESSAGE) break;
    out += piece;
  }
  return out;
}

/** Whether a content-type is one of gRPC: `application/grpc`, with a subtype or parameters or without. */
export function isGrpc(contentType: string | undefined): boolean {
  if (contentType === undefined || !contentType.startsWith("application/grpc")) return false;
  const next = contentType.charAt("application/grpc".length);
  return next === "" || next === "+" || next === ";";
}

/** The gRPC status of an HTTP answer that is not gRPC: gRPC's http-grpc-status-mapping. */
export function statusOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return Status.INTERNAL;
    case 401:
      return Status.UNAUTHENTICATED;
    case 403:
      return Status.PERMISSION_DENIED;
    case 404:
      return Status.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return Status.UNAVAILABLE;
    default:
      return Status.UNKNOWN;
  }
}

/** The HTTP status for a caller that does not speak gRPC. */
export function httpOfStatus(status: number): number {
  switch (status) {
    case Status.OK:
      return 200;
    case Status.INVALID_ARGUMENT:
      return 400;
    case Status.UNAUTHENTICATED:
      return 401;
    case Status.PERMISSION_DENIED:
      return 403;
    case Status.UNIMPLEMENTED:
      return 404;
    case Status.RESOURCE_EXHAUSTED:
      return 429;
    case Status.CANCELLED:
      return 499;
    case Status.DEADLINE_EXCEEDED:
      return 504;
    case Status.UNAVAILABLE:
      return 503;
    default:
      return 502;
  }
}

/** The numeric value of a `grpc-status`, UNKNOWN where it is missing or malformed. */
export function parseStatus(text: string | undefined): number {
  if (text === undefined || !/^[0-9]{1,2}$/.test(text)) return Status.UNKNOWN;
  return Number(text) > 16 ? Status.UNKNOWN : Number(text);
}

/**
 * The status of a stream that the server reset, after the error code table of gRPC's PROTOCOL-HTTP2. REFUSED_STREAM is
 * UNAVAILABLE there too and is told apart by whoever asks.
 */
export function statusOfReset(code: number): number {
  switch (code) {
    case 0x7:
      return Status.UNAVAILABLE;
    case 0x8:
      return Status.CANCELLED;
    case 0xb:
      return Status.RESOURCE_EXHAUSTED;
    case 0xc:
      return Status.PERMISSION_DENIED;
    default:
      return Status.INTERNAL;
  }
}
