import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TOKEN, readToken } from "../../../src/identity/jwt/token-parts.ts";
import { forged } from "../../support/tokens.ts";

const header = { alg: "ES256", kid: "one" };
const claims = { iss: "https://accounts.test" };

test("a signed token in the compact form has an algorithm, a key id and an issuer", () => {
  const parts = { algorithm: "ES256", keyId: "one", issuer: "https://accounts.test" };
  assert.deepEqual(readToken(forged(header, claims)), parts);
  assert.deepEqual(readToken(forged({ alg: "ES256" }, claims)), { ...parts, keyId: undefined });
});

test("everything else is none, and what is said of it holds no part of it", () => {
  const part = (value: string): string => Buffer.from(value, "latin1").toString("base64url");
  const whole = part(JSON.stringify(claims));
  for (const text of [
    "",
    ".",
    "..",
    "a.b",
    "a.b.c.d",
    forged(header, claims, ""),
    forged(header, claims, "s i g"),
    `${forged(header, claims)}=`,
    `${part("{")}.${whole}.c2ln`,
    `${part("[]")}.${whole}.c2ln`,
    `${part("null")}.${whole}.c2ln`,
    `${part('"ES256"')}.${whole}.c2ln`,
    `${part("\xff\xfe{}")}.${whole}.c2ln`,
    `${part(JSON.stringify(header))}.${part('{"iss":"\xff"}')}.c2ln`,
    forged({}, claims),
    forged({ alg: 1 }, claims),
    forged({ alg: ["ES256"] }, claims),
    forged({ alg: "" }, claims),
    forged(header, {}),
    forged(header, { iss: 1 }),
    forged(header, { iss: "x".repeat(1000) }),
    forged(header, [claims]),
  ]) {
    const read = readToken(text);
    assert.ok(typeof read === "string", text);
    assert.ok(text.length < 4 || !read.includes(text));
  }
});

test("a token may be as long as the limit, and not longer", () => {
  const base = forged(header, claims);
  assert.ok(typeof readToken(base + "A".repeat(MAX_TOKEN - base.length)) !== "string");
  assert.equal(readToken(base + "A".repeat(MAX_TOKEN - base.length + 1)), `it is longer than ${MAX_TOKEN} octets`);
});
