import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** Longest chain that is looked at. */
const MAX_CHAIN = 10;

/** The certificates that a peer has sent, its own first. */
export function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let at = socket.getPeerCertificate(true);
  while (at.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new X509Certificate(at.raw));
    // An authority is its own issuer.
    if (at.issuerCertificate === undefined || at.issuerCertificate === at) break;
    at = at.issuerCertificate;
  }
  return chain;
}
