import type { X509Certificate } from "node:crypto";
import { parseSpiffeId, type SpiffeId } from "./spiffe.ts";

/** What is known of a workload's certificate once it has been verified. */
export interface WorkloadCertificate {
  readonly id: SpiffeId;
  /** SHA-256 of it, in lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly subject: string;
}

/** Reads what a workload's certificate says of it (X509-SVID §2 and §4); a string is the reason why it is none. */
export function readWorkload(certificate: X509Certificate): WorkloadCertificate | string {
  if (certificate.ca) return "the certificate is an authority's, not a workload's";
  const uris = subjectUris(certificate.subjectAltName ?? "");
  const [uri, ...more] = uris;
  if (uri === undefined) return "the certificate has no SPIFFE id";
  if (more.length > 0) return "the certificate has more than one URI";
  const id = parseSpiffeId(uri);
  if (typeof id === "string") return `the certificate's URI ${JSON.stringify(uri)} is no SPIFFE id: ${id}`;
  // X509-SVID §3.2: "Leaf certificate SPIFFE IDs MUST have a non-root path component".
  if (id.text.length === "spiffe://".length + id.trustDomain.length)
    return "the certificate names a trust domain, and nobody in it";
  return {
    id,
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    subject: certificate.subject ?? "",
  };
}

/** Names in Node's form of them: `DNS:a, URI:"b, c"`, where what could be taken for another name is quoted as JSON. */
const name = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

/** The URIs among the alternative names of a certificate. Of a text that is not wholly understood there are none. */
export function subjectUris(text: string): string[] {
  const found: string[] = [];
  name.lastIndex = 0;
  while (name.lastIndex < text.length) {
    const match = name.exec(text);
    if (match === null) return [];
    const [, kind, value = ""] = match;
    if (kind === "URI") found.push(value.startsWith('"') ? unquoted(value) : value);
  }
  return found;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return "";
  }
}

/** Whether a chain, the leaf first, ends at one of some authorities: each is issued and signed by the next. */
export function leadsTo(chain: readonly X509Certificate[], authorities: readonly X509Certificate[]): boolean {
  for (const [at, certificate] of chain.entries()) {
    if (authorities.some((authority) => isIssuedBy(certificate, authority))) return true;
    const next = chain[at + 1];
    if (next === undefined || !next.ca || !isIssuedBy(certificate, next)) return false;
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
