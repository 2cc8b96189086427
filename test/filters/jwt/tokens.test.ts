import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TOKENS, TokenCache } from "../../../src/filters/jwt/token-cache.ts";
import { type TokenOptions, Tokens, type TokenUse, type Verdicts } from "../../../src/filters/jwt/tokens.ts";
import { Call } from "../../../src/http/call.ts";
import { FakeClock } from "../../support/clock.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { makeCall, table } from "../make-call.ts";

const bearer: TokenUse["from"] = [{ metadata: "authorization", prefix: "Bearer " }];
const use: TokenUse = { from: bearer, toApplication: "strip", claims: new Map([["x-user", "sub"]]) };
const one: TokenOptions = { providers: new Map([["accounts", use]]), rules: [] };

function setup(options: TokenOptions = one) {
  const clock = new FakeClock();
  const tokens = new Tokens({ clock, headers: table });
  tokens.apply(options);
  const asked: string[] = [];
  let verdict: Verdicts = {
    kind: "verified",
    provider: "accounts",
    claims: { sub: "ann", role: ["admin", "ops"], nested: { tenant: 7 } },
    until: clock.wall() + 60_000,
  };
  tokens.verify = async (token) => {
    asked.push(token);
    return await Promise.resolve(verdict);
  };
  const come = (next: Verdicts): void => {
    verdict = next;
  };
  return { tokens, clock, asked, come };
}

function callWith(...metadata: readonly PlainField[]): Call {
  const { head } = makeCall(metadata, true, "/a.A/One");
  return new Call("inbound", "127.0.0.1:1", head, "/a.A/One", true, 0);
}

const valuesOf = (call: Call, wanted: string): string[] =>
  [...call.head.entries()].flatMap(([name, value]) => (name === wanted ? [value] : []));

/** The reason of a refusal; "" where there is none. */
async function reasonOf(tokens: Tokens, call: Call): Promise<string> {
  return (await tokens.onRequest(call))?.reason ?? "";
}

test("a good token is told to rules and to the application, which does not get the token itself", async () => {
  const { tokens } = setup();
  const call = callWith(["authorization", "Bearer abc"], ["x-other", "1"]);
  assert.equal(await reasonOf(tokens, call), "");
  assert.deepEqual([call.token?.provider, call.token?.claims.sub], ["accounts", "ann"]);
  assert.deepEqual(
    [valuesOf(call, "authorization"), valuesOf(call, "x-user"), valuesOf(call, "x-other")],
    [[], ["ann"], ["1"]],
  );
});

test("a token that was verified is looked up without waiting until it expires, and verified anew after other keys have come", async () => {
  const { tokens, clock, asked } = setup();
  const make = () => tokens.onRequest(callWith(["authorization", "Bearer abc"]));
  await make();
  for (let at = 0; at < 10; at++) assert.equal(make(), undefined);
  assert.deepEqual(asked, ["abc"]);
  clock.advance(60_000);
  assert.ok(make() instanceof Promise);
  assert.equal(asked.length, 2);
  tokens.forget();
  assert.ok(make() instanceof Promise);
  assert.deepEqual([tokens.counts.verified, tokens.counts.known], [11, 10]);
});

test("calls with the same token wait for one verification, and what was begun before a change of keys is not remembered", async () => {
  const { tokens, asked } = setup();
  const made = [1, 2, 3].map(async () => await tokens.onRequest(callWith(["authorization", "Bearer abc"])));
  assert.deepEqual(asked, ["abc"]);
  tokens.forget();
  await Promise.all(made);
  assert.ok(tokens.onRequest(callWith(["authorization", "Bearer abc"])) instanceof Promise);
  assert.equal(asked.length, 2);
});

test("no more than 256 tokens are verified at once", async () => {
  const { tokens } = setup();
  const settle: (() => void)[] = [];
  tokens.verify = () => new Promise((resolve) => settle.push(() => resolve({ kind: "unknown", why: "" })));
  const made = Array.from(
    { length: 256 },
    async (_, at) => await tokens.onRequest(callWith(["authorization", `Bearer ${at}`])),
  );
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Bearer more"])), "QUEUE_FULL");
  for (const end of settle) end();
  for (const verdict of await Promise.all(made)) assert.equal(verdict?.reason, "JWT_KEYS_UNAVAILABLE");
});

test("a missing token, one that is no good and one that has expired are told apart, and what is no good is remembered", async () => {
  const { tokens, asked, come } = setup();
  const missing = await tokens.onRequest(callWith());
  assert.deepEqual(
    [missing?.reason, missing?.status, missing?.fields],
    ["JWT_MISSING", 16, [["www-authenticate", "Bearer"]]],
  );
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Basic abc"])), "JWT_MISSING");
  come({ kind: "expired", why: "it has expired", lasting: true });
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Bearer old"])), "JWT_EXPIRED");
  come({ kind: "invalid", why: "it is for somebody else", lasting: true });
  const wrong = await tokens.onRequest(callWith(["authorization", "Bearer secret-token"]));
  assert.equal(wrong?.detail, "the call's token is not taken: it is for somebody else");
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Bearer secret-token"])), "JWT_INVALID");
  assert.deepEqual(asked, ["old", "secret-token"]);
  come({ kind: "invalid", why: "it is signed by an unknown key", lasting: false });
  for (const _ of [1, 2])
    assert.equal(await reasonOf(tokens, callWith(["authorization", "Bearer new"])), "JWT_INVALID");
  assert.equal(asked.length, 4);
});

test("a field for a claim is the sidecar's: what a caller sends is taken away from every call, with a token or without", async () => {
  const rules = [{ methods: undefined, need: "optional", providers: undefined }] as const;
  const { tokens } = setup({ ...one, rules });
  for (const fields of [[], [["authorization", "Bearer abc"]]] as PlainField[][]) {
    const call = callWith(["x-user", "root"], ...fields, ["x-user", "admin"]);
    assert.equal(await reasonOf(tokens, call), "");
    assert.deepEqual(valuesOf(call, "x-user"), fields.length === 0 ? [] : ["ann"]);
  }
  const ignoring = setup({ ...one, rules: [{ methods: undefined, need: "ignored", providers: undefined }] });
  const call = callWith(["x-user", "root"], ["authorization", "Bearer abc"]);
  assert.equal(await reasonOf(ignoring.tokens, call), "");
  assert.deepEqual([valuesOf(call, "x-user"), valuesOf(call, "authorization")], [[], ["Bearer abc"]]);
  assert.equal(ignoring.asked.length, 0);
});

test("a field that an application may read as the one for a claim is taken away as well", async () => {
  const { tokens } = setup();
  const call = callWith(["authorization", "Bearer abc"], ["x_user", "admin"], ["x-user", "admin"]);
  assert.equal(await reasonOf(tokens, call), "");
  assert.deepEqual([valuesOf(call, "x_user"), valuesOf(call, "x-user")], [[], ["ann"]]);
});

test("several tokens, or a field for one twice, are refused", async () => {
  const from = [...bearer, { metadata: "x-token", prefix: "" }];
  const { tokens, asked } = setup({ ...one, providers: new Map([["accounts", { ...use, from }]]) });
  for (const fields of [
    [
      ["authorization", "Bearer abc"],
      ["authorization", "Bearer abd"],
    ],
    [
      ["authorization", "Basic abc"],
      ["authorization", "Bearer abd"],
    ],
    [
      ["authorization", "Bearer abc"],
      ["authorization", "Basic abd"],
    ],
    [
      ["authorization", "Bearer abc"],
      ["x-token", "abd"],
    ],
  ] as PlainField[][])
    assert.equal(await reasonOf(tokens, callWith(...fields)), "JWT_INVALID");
  assert.equal(asked.length, 0);
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Basic abc"], ["x-token", "abd"])), "");
  assert.equal(await reasonOf(tokens, callWith(["authorization", "bearer abe"])), "");
});

test("the first rule that is for the call counts, and a provider that it does not name does not", async () => {
  const providers = new Map([
    ["accounts", { ...use, toApplication: "forward" as const }],
    ["partners", { ...use, from: [{ metadata: "x-partner", prefix: "" }] }],
  ]);
  const rules = [
    { methods: ["b.B/*"], need: "ignored", providers: undefined },
    { methods: ["a.A/*"], need: "required", providers: ["partners"] },
  ] as const;
  const { tokens } = setup({ providers, rules });
  assert.equal(await reasonOf(tokens, callWith(["authorization", "Bearer abc"])), "JWT_MISSING");
  // Verified by accounts, whose tokens do not count here.
  assert.equal(await reasonOf(tokens, callWith(["x-partner", "abc"])), "JWT_INVALID");
  tokens.apply({ providers, rules: [] });
  const call = callWith(["authorization", "Bearer abc"]);
  assert.equal(await reasonOf(tokens, call), "");
  assert.deepEqual(valuesOf(call, "authorization"), ["Bearer abc"]);
  // It stands where partners have theirs.
  assert.equal(await reasonOf(tokens, callWith(["x-partner", "abc"])), "JWT_INVALID");
});

test("a path that can be read in several ways needs what each of them needs", async () => {
  const rules: TokenOptions["rules"] = [
    { methods: ["public/*"], need: "ignored", providers: undefined },
    { methods: ["mine/*"], need: "required", providers: ["accounts"] },
    { methods: ["theirs/*"], need: "required", providers: ["others"] },
    { methods: ["either/*"], need: "optional", providers: undefined },
  ];
  const { tokens } = setup({ providers: new Map([...one.providers, ["others", use]]), rules });
  const at = async (path: string, ...metadata: readonly PlainField[]): Promise<string> => {
    const { head } = makeCall(metadata, true, path);
    return await reasonOf(tokens, new Call("inbound", "127.0.0.1:1", head, path, true, 0));
  };
  const token = ["authorization", "Bearer abc"] as const;
  assert.equal(await at("/public/x"), "");
  assert.equal(await at("/public/../mine/x"), "JWT_MISSING");
  assert.equal(await at("/either/%2e%2e/mine/x"), "JWT_MISSING");
  assert.equal(await at("/public/../either/x"), "");
  assert.equal(await at("/public/../mine/x", token), "");
  // No token is good for both.
  assert.notEqual(await at("/mine/../theirs/x", token), "");
});

test("claims become fields: lists with commas, nested ones by their way, other characters encoded, objects not at all", async () => {
  const claims = new Map([
    ["x-role", "role"],
    ["x-tenant", "nested.tenant"],
    ["x-nested", "nested"],
    ["x-none", "none"],
    ["x-name", "name"],
    ["x-dotted", "https://a.b/c"],
  ]);
  const { tokens, come, clock } = setup({ ...one, providers: new Map([["accounts", { ...use, claims }]]) });
  come({
    kind: "verified",
    provider: "accounts",
    claims: { role: ["admin", "ops"], nested: { tenant: 7 }, name: "Ä\r\nx-role: root", "https://a.b/c": true },
    until: clock.wall() + 1000,
  });
  const call = callWith(["authorization", "Bearer abc"]);
  await reasonOf(tokens, call);
  const told = Object.fromEntries([...claims.keys()].map((name) => [name, valuesOf(call, name)]));
  assert.deepEqual(told, {
    "x-role": ["admin,ops"],
    "x-tenant": ["7"],
    "x-nested": [],
    "x-none": [],
    "x-name": ["%C3%84%0D%0Ax-role: root"],
    "x-dotted": ["true"],
  });
});

test("a cache of tokens has a bound for entries and one for octets, and forgets the oldest", () => {
  const cache = new TokenCache();
  for (let at = 0; at <= MAX_TOKENS; at++) cache.set(`${at}`, { until: 1, size: 1 });
  assert.equal(cache.size, MAX_TOKENS);
  assert.deepEqual([cache.get("0", 0), cache.get("1", 0) === undefined], [undefined, false]);
  for (let at = 0; at < 20; at++) cache.set(`large ${at}`, { until: 1, size: 1024 * 1024 });
  assert.ok(cache.size < 17);
  assert.equal(cache.get("large 19", 1), undefined);
  cache.clear();
  assert.equal(cache.size, 0);
});
