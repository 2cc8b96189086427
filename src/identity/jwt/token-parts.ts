import { field } from "../../core/json-field.ts";

/** What a token says of itself before anybody has verified it: by whose keys that can be done. */
export interface TokenParts {
  readonly algorithm: string;
  /** The number of the key; undefined where it names none. */
  readonly keyId: string | undefined;
  readonly issuer: string;
}

/** Octets of a token: a caller decides how long it is, and a header list has 16 KiB by default. */
export const MAX_TOKEN = 8192;
/** Characters of what is looked up. */
const MAX_NAME = 512;

/** Three parts of base64url, none of them empty (RFC 7515 §7.1). */
const form = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

/** Reads a signed JWT in its compact form; a string says why the text is none. It never holds a part of the token. */
export function readToken(text: string): TokenParts | string {
  if (text.length > MAX_TOKEN) return `it is longer than ${MAX_TOKEN} octets`;
  const [, headerPart, payloadPart] = form.exec(text) ?? [];
  if (headerPart === undefined || payloadPart === undefined) return "it is no signed token in the compact form";
  const header = readObject(headerPart);
  if (header === undefined) return "its header is no JSON object";
  const payload = readObject(payloadPart);
  if (payload === undefined) return "its claims are no JSON object";
  const algorithm = field(header, "alg");
  if (!isName(algorithm)) return "it names no algorithm";
  const keyId = field(header, "kid");
  if (keyId !== undefined && !isName(keyId)) return "its kid is no name of a key";
  const issuer = field(payload, "iss");
  if (!isName(issuer)) return "it names no issuer";
  return { algorithm, keyId, issuer };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_NAME;
}

function readObject(part: string): object | undefined {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(Buffer.from(part, "base64url")));
  } catch {
    return undefined;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}

/** What is no UTF-8 is no JSON, and is not read as something that is. */
const utf8 = new TextDecoder("utf-8", { fatal: true });
