import assert from "node:assert/strict";
import { test } from "node:test";
import { loadRegex } from "../../src/core/regex.ts";
import type { ChainMatch, FieldTest } from "../../src/discovery/consul/chain/chain.ts";
import { Call } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { compileChainMatch } from "../../src/proxy/chain-match.ts";

const whole: ChainMatch = { path: undefined, headers: [], query: [], methods: [] };
const table = new HeaderTable();
const regex = await loadRegex();

function matches(match: Partial<ChainMatch>, path: string, ...fields: (readonly [string, string])[]): boolean {
  const head = table.head([[":method", "POST"], [":path", path], ...fields]);
  return compileChainMatch({ ...whole, ...match }, regex)(new Call("outbound", "127.0.0.1:1", head, path, true, 0));
}

const field = (kind: FieldTest["kind"], text: string, more: Partial<FieldTest> = {}): FieldTest => ({
  name: "x-a",
  kind,
  text,
  invert: false,
  ignoreCase: false,
  ...more,
});

test("a path is compared whole, by its beginning or by a form, without its query", () => {
  const exact = { kind: "exact", text: "/a.B/Get", ignoreCase: false } as const;
  assert.equal(matches({ path: exact }, "/a.B/Get"), true);
  assert.equal(matches({ path: exact }, "/a.B/Get?x=1"), true);
  assert.equal(matches({ path: exact }, "/a.b/get"), false);
  assert.equal(matches({ path: { ...exact, ignoreCase: true } }, "/a.b/get"), true);
  const prefix = { kind: "prefix", text: "/a.B/", ignoreCase: false } as const;
  assert.equal(matches({ path: prefix }, "/a.B/List"), true);
  assert.equal(matches({ path: prefix }, "/a.C/List"), false);
  const form = { kind: "regex", text: "/a\\.[BC]/.*", ignoreCase: false } as const;
  assert.equal(matches({ path: form }, "/a.C/List"), true);
  assert.equal(matches({ path: form }, "/xa.C/List"), false);
});

test("a field is compared in each of the ways that there are", () => {
  const cases: readonly (readonly [FieldTest, string, boolean])[] = [
    [field("exact", "beta"), "beta", true],
    [field("exact", "beta"), "Beta", false],
    [field("exact", "beta", { ignoreCase: true }), "Beta", true],
    [field("prefix", "be"), "beta", true],
    [field("suffix", "ta"), "beta", true],
    [field("suffix", "be"), "beta", false],
    [field("contains", "et"), "beta", true],
    [field("regex", "b.*"), "beta", true],
    [field("regex", "e.*"), "beta", false],
    [field("present", ""), "", true],
    [field("exact", "beta", { invert: true }), "beta", false],
    [field("exact", "beta", { invert: true }), "rc", true],
  ];
  for (const [one, value, expected] of cases)
    assert.equal(matches({ headers: [one] }, "/", ["x-a", value]), expected, JSON.stringify([one, value]));
});

test("an absent field is matched only by whoever wants it absent", () => {
  assert.equal(matches({ headers: [field("present", "", { invert: true })] }, "/"), true);
  assert.equal(matches({ headers: [field("present", "")] }, "/"), false);
  assert.equal(matches({ headers: [field("exact", "beta", { invert: true })] }, "/"), false);
});

test("a field that comes more than once is compared as one with commas", () => {
  assert.equal(matches({ headers: [field("exact", "1,2")] }, "/", ["x-a", "1"], ["x-a", "2"]), true);
});

test("parameters of the query, and methods", () => {
  const q = field("exact", "a b", { name: "q" });
  assert.equal(matches({ query: [q] }, "/a?q=a+b&r=1"), true);
  assert.equal(matches({ query: [q] }, "/a"), false);
  assert.equal(matches({ methods: ["GET", "POST"] }, "/"), true);
  assert.equal(matches({ methods: ["GET"] }, "/"), false);
});

test("all of it has to be there", () => {
  const path = { kind: "prefix", text: "/a", ignoreCase: false } as const;
  assert.equal(matches({ path, headers: [field("present", "")] }, "/a"), false);
  assert.equal(matches({ path, headers: [field("present", "")] }, "/a", ["x-a", "1"]), true);
});
