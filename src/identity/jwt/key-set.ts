import type { JWK } from "jose";
import { field } from "../../core/json-field.ts";

/** Octets of a key set, and keys of it that are looked at. */
export const MAX_KEY_SET = 262_144;
const MAX_KEYS = 100;

/** Kinds of keys with a public half. */
const kinds = new Set(["RSA", "EC", "OKP"]);
/** What only a private key or a shared secret has. */
const secrets = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/**
 * The public keys of a key set (RFC 7517 §5); a string says why the text is none. Keys of other kinds are left out, as §5 has it; a
 * private key in it is an error, for it is known to too many.
 */
export function readKeySet(text: string): readonly JWK[] | string {
  if (text.length > MAX_KEY_SET) return `it is longer than ${MAX_KEY_SET} octets`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  const keys = field(value, "keys");
  if (!Array.isArray(keys)) return "it has no keys";
  if (keys.length > MAX_KEYS) return `it has more than ${MAX_KEYS} keys`;
  const known = keys.filter(isPublicKind);
  if (known.some((key) => secrets.some((name) => field(key, name) !== undefined))) return "it has a private key";
  if (known.length === 0) return "it has no public key";
  return known;
}

function isPublicKind(key: unknown): key is JWK {
  const kind = field(key, "kty");
  return typeof kind === "string" && kinds.has(kind) && field(key, "use") !== "enc";
}
