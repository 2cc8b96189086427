/**
 * Algorithms of signatures that are known (RFC 7518 §3.1, RFC 8037). All are asymmetric: whoever verifies by a shared secret could
 * sign as well, and a public key is no secret.
 */
export const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;

/** How a token may be signed (RFC 7518 §3.1). None of these is symmetric. */
export type Algorithm = (typeof ALGORITHMS)[number];
