/** What a TLS handshake came to: the label `result` of `outrigger_tls_handshakes_total`. */
export type HandshakeResult =
  /** Both sides are who they have to be. */
  | "ok"
  /** The same, from a session of before. */
  | "resumed"
  /** The peer has no certificate, or showed none when it resumed a session. */
  | "noCertificate"
  /** No authority that is trusted stands behind the peer's certificate, or it was revoked. */
  | "untrusted"
  /** The peer's certificate is not valid now. */
  | "expired"
  /** The peer's certificate names nobody, or somebody else. */
  | "wrongIdentity"
  /** The peer does not take our certificate. */
  | "refused"
  /** The peer speaks other versions of TLS only. */
  | "version"
  /** The peer does not speak HTTP/2. */
  | "protocol"
  | "timeout"
  /** More handshakes are under way than may be. */
  | "limit"
  /** We have no certificate that is valid. */
  | "noIdentity"
  | "failed";

const EXPIRED = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);

/** Verdicts of OpenSSL on a chain (X509_STORE_CTX_get_error), as Node names them, beside those on its time. */
const UNTRUSTED =
  /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO_|CERT_(SIGNATURE|REVOKED|UNTRUSTED|REJECTED|CHAIN)|CRL_|ERROR_IN_|INVALID_|PATH_LENGTH|SUBJECT_ISSUER|AKID_|KEYUSAGE_)/;

/** Alerts by which a peer says that it does not take our certificate (RFC 8446 §6.2). */
const REFUSED =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR)/;

/** What an error of a handshake means, by its code: Node's verdict on the peer's certificate, or that of OpenSSL. */
export function handshakeFailure(code: string): HandshakeResult {
  if (EXPIRED.has(code)) return "expired";
  if (UNTRUSTED.test(code)) return "untrusted";
  if (REFUSED.test(code)) return "refused";
  if (code.includes("NO_APPLICATION_PROTOCOL")) return "protocol";
  if (code.includes("PROTOCOL_VERSION") || code.includes("UNSUPPORTED_PROTOCOL")) return "version";
  if (code.includes("DID_NOT_RETURN_A_CERTIFICATE")) return "noCertificate";
  return "failed";
}

/** The code of an error of Node or OpenSSL; "" where it has none. */
export function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}

/** The text of an error for people: OpenSSL's carries addresses of its own source. */
export function plainText(message: string): string {
  const found = /:SSL routines:[^:]*:([^:]+):/.exec(message);
  return found?.[1] ?? message.trim();
}
