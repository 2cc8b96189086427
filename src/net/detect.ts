/** The first octet of a TLS connection: a record that holds a handshake message (RFC 8446 §5.1). */
const HANDSHAKE = 0x16;

/**
 * What the first octets of a connection speak. One octet decides: HTTP/2 begins with "PRI" (RFC 9113 §3.4) and HTTP/1 with a
 * method, so that nothing is ever waited for beyond what the client says first in any case.
 */
export function isTls(first: Buffer): boolean {
  return first[0] === HANDSHAKE;
}
