import assert from "node:assert/strict";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { readKeySet } from "../../src/identity/jwt/key-set.ts";
import { MAX_TOKEN, readToken } from "../../src/identity/jwt/token-parts.ts";
import { mutateText } from "./mutate-text.ts";
import { shape, type Target } from "./target.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64url");

/**
 * What a token says before it is verified: header and claims in the clear, a line each, as a caller would write them. What says by
 * whose keys it is verified is what the verifier reads. With a first line "raw" the rest is the token, or a key set.
 */
export const jwt: Target = {
  name: "jwt",
  seeds: () =>
    [
      '{"alg":"RS256","kid":"a"}\n{"iss":"https://issuer","aud":"x","exp":1}',
      '{"alg":"ES256"}\n{"iss":"i","iss":"j"}',
      '{"alg":"none"}\n{"iss":"i"}',
      '{"alg":["RS256"],"kid":1}\n{"iss":{}}',
      '\ufeff{"alg":"RS256"}\n\ufeff{"iss":"i"}',
      '{"__proto__":{"alg":"RS256"}}\n{"__proto__":{"iss":"i"}}',
      `raw\n${base64('{"alg":"RS256"}')}.${base64('{"iss":"i"}')}.c2ln`,
      "raw\na.b.c",
      `raw\n..${"a".repeat(3000)}`,
      'raw\n{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB","kid":"a"},{"kty":"oct","k":"c2VjcmV0"}]}',
      'raw\n{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}]}',
      'raw\n{"keys":[{"kty":"OKP","use":"enc"},null,[],1]}',
    ].map((text) => Buffer.from(text)),
  mutate: mutateText([
    '"alg"',
    '"kid"',
    '"iss"',
    '"keys"',
    '"kty"',
    '"RSA"',
    '"d"',
    '"use":"sig"',
    ":",
    ",",
    "{",
    "}",
    "[",
    "]",
    "null",
    "1e999",
    '"\\ud800"',
    "\\u0000",
    '"__proto__"',
    ".",
    "=",
    "==",
    "+/",
    "\ufeff",
    "raw\n",
    "é",
  ]),
  run(input) {
    const text = input.toString("utf8");
    const [first = "", ...rest] = text.split("\n");
    if (first === "raw") return [readOne(rest.join("\n")), readSet(rest.join("\n"))];
    return [readOne(`${base64(first)}.${base64(rest.join("\n"))}.c2ln`)];
  },
};

function readOne(token: string): string {
  const parts = readToken(token);
  if (typeof parts === "string") {
    assert.ok(token.length < 9 || !parts.includes(token), "a refusal does not hold the token");
    return shape(parts);
  }
  assert.ok(token.length <= MAX_TOKEN);
  // The verifier may refuse what is accepted here, but it reads nothing else.
  const header = orNothing(() => decodeProtectedHeader(token));
  const claims = orNothing(() => decodeJwt(token));
  if (header !== undefined) assert.deepEqual([header.alg, header.kid], [parts.algorithm, parts.keyId]);
  if (claims !== undefined) assert.equal(claims.iss, parts.issuer);
  return `a token${header === undefined ? ", whose header jose refuses" : ""}${claims === undefined ? ", whose claims jose refuses" : ""}`;
}

function readSet(text: string): string {
  const keys = readKeySet(text);
  if (typeof keys === "string") return `keys: ${shape(keys)}`;
  assert.ok(keys.length > 0);
  for (const key of keys) {
    assert.notEqual(key.kty, "oct");
    assert.equal(key.d, undefined);
  }
  return "a key set";
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
