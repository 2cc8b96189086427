/** The first octet of a TLS connection: a record that holds a handshake message (RFC 8446 §5.1). */
const HANDSHAKE = 0x16;
/** The start of the client preface, RFC 9113 §3.4; no method of HTTP/1.1 begins so. */
const PREFACE = Buffer.from("PRI ");
/** A request line of HTTP/1.1 (RFC 9112 §3) as far as its method: a token, then a space. */
const REQUEST = /^[A-Z][A-Z-]{0,19}( |$)/;
const LONGEST_METHOD = 20;

/**
 * What the first octets of a connection speak. One octet decides: HTTP/2 begins with "PRI" (RFC 9113 §3.4) and HTTP/1 with a
 * method, so that nothing is ever waited for beyond what the client says first in any case.
 */
export function isTls(first: Buffer): boolean {
  return first[0] === HANDSHAKE;
}

/** Whether a connection begins as HTTP/2 does (RFC 9113 §3.4); undefined while that is open, three octets at most. */
export function beginsHttp2(octets: Buffer): boolean | undefined {
  const size = Math.min(octets.length, PREFACE.length);
  if (octets.compare(PREFACE, 0, size, 0, size) !== 0) return false;
  return size === PREFACE.length ? true : undefined;
}

/** What a client speaks that may speak anything. `unknown yet`: a few octets more decide. */
export type Spoken = "tls" | "http2" | "http1" | "other" | "unknown yet";

/** What the first octets of a connection speak, whatever that is. */
export function spokenBy(octets: Buffer): Spoken {
  if (octets.length === 0) return "unknown yet";
  if (isTls(octets)) return "tls";
  const isHttp2 = beginsHttp2(octets);
  if (isHttp2 !== false) return isHttp2 === true ? "http2" : "unknown yet";
  const start = octets.toString("latin1", 0, LONGEST_METHOD + 1);
  if (!REQUEST.test(start)) return "other";
  return start.includes(" ") ? "http1" : "unknown yet";
}
