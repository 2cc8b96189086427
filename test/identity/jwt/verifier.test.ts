import assert from "node:assert/strict";
import { test } from "node:test";
import { exportSPKI, importJWK, type JWK, SignJWT } from "jose";
import { systemClock } from "../../../src/core/clock.ts";
import { ALGORITHMS } from "../../../src/identity/jwt/algorithms.ts";
import type { KeySource } from "../../../src/identity/jwt/key-source.ts";
import { type TokenRules, TokenVerifier } from "../../../src/identity/jwt/verifier.ts";
import { forged, ISSUER, Issuer } from "../../support/tokens.ts";

const issuer = await Issuer.make("one");
const rules: TokenRules = { issuer: ISSUER, audiences: ["up"], algorithms: ALGORITHMS, clockSkew: 0 };
const seconds = (): number => Math.floor(Date.now() / 1000);

function verifier(keys: readonly JWK[] | undefined, more: Partial<TokenRules> = {}) {
  let asked = 0;
  const source = {
    keys,
    problem: "nobody answers",
    ask: () => {
      asked++;
      return undefined;
    },
  } as Partial<KeySource> as KeySource;
  const made = new TokenVerifier(new Map([["accounts", { rules: { ...rules, ...more }, keys: source }]]), systemClock);
  return { verify: (token: string) => made.verify(token), asked: () => asked };
}

/** What is wrong with a token; "" where nothing is. */
async function fault(
  token: string,
  more: Partial<TokenRules> = {},
  keys: readonly JWK[] = [issuer.jwk],
): Promise<string> {
  const verdict = await verifier(keys, more).verify(token);
  return verdict.kind === "verified" ? "" : `${verdict.kind}: ${verdict.why}`;
}

test("a token of every algorithm that is accepted is verified, with its claims and until it expires", async () => {
  for (const algorithm of ALGORITHMS) {
    const one = await Issuer.make("k", algorithm);
    const exp = seconds() + 100;
    const verdict = await verifier([issuer.jwk, one.jwk], { clockSkew: 5000 }).verify(
      await one.sign({ exp, role: "admin" }),
    );
    assert.ok(verdict.kind === "verified", algorithm);
    assert.equal(verdict.provider, "accounts");
    assert.equal(verdict.claims.role, "admin");
    assert.equal(verdict.until, exp * 1000 + 5000);
  }
});

test("a token of another issuer, for somebody else, before or after its time, or without an end is refused", async () => {
  assert.equal(await fault(await issuer.sign({ iss: "https://other.test" })), "invalid: it is of another issuer");
  assert.equal(await fault(await issuer.sign({ aud: "other" })), "invalid: it is for somebody else");
  assert.equal(await fault(await issuer.sign({ aud: undefined })), "invalid: it is for somebody else");
  assert.equal(await fault(await issuer.sign({ aud: ["other", "up"] })), "");
  assert.equal(await fault(await issuer.sign({ aud: "other" }), { audiences: [] }), "");
  assert.equal(await fault(await issuer.sign({ exp: seconds() - 10 })), "expired: it has expired");
  assert.equal(await fault(await issuer.sign({ exp: seconds() - 10 }), { clockSkew: 30_000 }), "");
  assert.equal(await fault(await issuer.sign({ nbf: seconds() + 20 })), "invalid: it is not valid yet");
  assert.equal(await fault(await issuer.sign({ nbf: seconds() + 20 }), { clockSkew: 30_000 }), "");
  assert.equal(await fault(await issuer.sign({ exp: undefined })), "invalid: it does not say when it expires");
});

test("claims of another form than they have are refused, signed or not, and cost nothing", async () => {
  const soon = seconds() + 60;
  // The time as a text, a truth value or a list is none; a fraction of a second is one (RFC 7519 §2).
  for (const exp of [`${soon}`, true, [soon], { at: soon }])
    assert.match(await fault(await issuer.sign({ exp })), /^invalid: /, JSON.stringify(exp));
  assert.equal(await fault(await issuer.sign({ exp: soon + 0.5 })), "");
  assert.match(await fault(await issuer.sign({ exp: -1e300 })), /^expired: /);
  assert.match(await fault(await issuer.sign({ nbf: "0" })), /^invalid: /);
  for (const iss of [[ISSUER], { is: ISSUER }, `${ISSUER}/`, ISSUER.toUpperCase(), ""])
    assert.match(await fault(await issuer.sign({ iss })), /^invalid: /, JSON.stringify(iss));
  for (const aud of [[["up"]], { up: true }, "UP", "up ", ["other", ["up"]]])
    assert.equal(await fault(await issuer.sign({ aud })), "invalid: it is for somebody else", JSON.stringify(aud));
  const deep = `${"[".repeat(2500)}${"]".repeat(2500)}`;
  assert.equal(await fault(await issuer.sign({ deep: JSON.parse(deep) })), "");
  assert.match(await fault(forged({ alg: "ES256" }, JSON.parse(`{"iss":"${ISSUER}","deep":${deep}}`))), /^invalid: /);
  assert.match(await fault(await issuer.sign({ long: "x".repeat(9000) })), /^invalid: it is longer than/);
});

test("none is no algorithm, however it is written, and an accepted one has to be the key's", async () => {
  const claims = { iss: ISSUER, aud: "up", exp: seconds() + 60 };
  for (const alg of ["none", "None", "NONE", "nOnE", "HS256", "", "ES256K", "RSA1_5", "dir"])
    for (const signature of ["c2ln", ""]) {
      const found = await fault(forged({ alg, kid: "one" }, claims, signature));
      assert.match(found, /^invalid: (its algorithm is not accepted|it is no signed|it names no algorithm)/, alg);
    }
  const rs = await Issuer.make("one", "RS256");
  assert.equal(await fault(await rs.sign()), "invalid: it is signed by an unknown key");
  assert.equal(await fault(await issuer.sign(), { algorithms: ["RS256"] }), "invalid: its algorithm is not accepted");
});

test("a public key is no shared secret: a token signed with it by HMAC is refused", async () => {
  const rs = await Issuer.make("one", "RS256");
  const pem = await exportSPKI((await importJWK(rs.jwk, "RS256", { extractable: true })) as never);
  for (const secret of [pem, pem.trim(), JSON.stringify(rs.jwk), rs.jwk.n ?? ""]) {
    const token = await new SignJWT({ iss: ISSUER, aud: "up", exp: seconds() + 60 })
      .setProtectedHeader({ alg: "HS256", kid: "one" })
      .sign(new TextEncoder().encode(secret));
    assert.equal(await fault(token, {}, [rs.jwk]), "invalid: its algorithm is not accepted");
  }
});

test("a key that the token brings or points to is not used", async () => {
  const stranger = await Issuer.make("one");
  for (const header of [
    { jwk: stranger.jwk },
    { jku: "http://127.0.0.1:1/keys" },
    { x5u: "http://127.0.0.1:1/cert" },
    { x5c: ["MIIB"] },
  ])
    assert.equal(await fault(await stranger.sign({}, header)), "invalid: its signature is wrong");
});

test("a key id is a name and nothing else", async () => {
  for (const kid of ["two", "../../one", "one'--", "ONE", "one\u0000", "__proto__", "constructor"])
    assert.equal(await fault(await issuer.sign({}, { kid })), "invalid: it is signed by an unknown key", kid);
  for (const kid of [1, ["one"], { one: 1 }, null, "", "x".repeat(1000)])
    assert.equal(await fault(forged({ alg: "ES256", kid }, { iss: ISSUER })), "invalid: its kid is no name of a key");
});

test("without a key id every key of the algorithm is tried, and a key for encryption or of another algorithm is none", async () => {
  const others = await Promise.all(["a", "b"].map((id) => Issuer.make(id)));
  const token = await issuer.sign({}, { kid: undefined });
  assert.equal(await fault(token, {}, [...others.map(({ jwk }) => jwk), issuer.jwk]), "");
  assert.equal(
    await fault(
      token,
      {},
      others.map(({ jwk }) => jwk),
    ),
    "invalid: its signature is wrong",
  );
  assert.equal(
    await fault(await issuer.sign(), {}, [{ ...issuer.jwk, key_ops: ["encrypt"] }]),
    "invalid: it is signed by an unknown key",
  );
  assert.equal(
    await fault(await issuer.sign(), {}, [{ ...issuer.jwk, alg: "ES384" }]),
    "invalid: it is signed by an unknown key",
  );
});

test("what was changed, cut or is critical and unknown is refused", async () => {
  const token = await issuer.sign();
  const [header = "", claims = "", signature = ""] = token.split(".");
  const other = Buffer.from(JSON.stringify({ iss: ISSUER, sub: "root", aud: "up", exp: seconds() + 60 })).toString(
    "base64url",
  );
  assert.equal(await fault(`${header}.${other}.${signature}`), "invalid: its signature is wrong");
  assert.notEqual(await fault(`${header}.${claims}.${signature.slice(0, -4)}`), "");
  assert.notEqual(await fault(`${token}.`), "");
  assert.notEqual(await fault(`${token}.${signature}`), "");
  assert.equal(
    await fault(forged({ alg: "ES256", kid: "one", crit: ["x"], x: 1 }, { iss: ISSUER })),
    "invalid: it cannot be verified",
  );
});

test("an unknown key is looked for once a token, and without any keys nobody knows", async () => {
  const known = verifier([issuer.jwk]);
  const verdict = await known.verify(await issuer.sign({}, { kid: "new" }));
  assert.ok(verdict.kind === "invalid" && !verdict.lasting);
  assert.equal(known.asked(), 1);
  const none = verifier(undefined);
  assert.deepEqual(await none.verify(await issuer.sign()), {
    kind: "unknown",
    why: "the keys of accounts cannot be had: nobody answers",
  });
});
