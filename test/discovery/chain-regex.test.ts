import assert from "node:assert/strict";
import { test } from "node:test";
import { wholeRegExp } from "../../src/discovery/chain-regex.ts";

function matches(source: string, text: string, ignoreCase = false): boolean {
  const compiled = wholeRegExp(source, ignoreCase);
  assert.ok(compiled instanceof RegExp, `${source}: ${String(compiled)}`);
  return compiled.test(text);
}

test("a regular expression of Consul's matches a whole text", () => {
  assert.equal(matches("v[12]", "v1"), true);
  assert.equal(matches("v[12]", "v12"), false);
  assert.equal(matches("a|b", "ab"), false);
  assert.equal(matches("\\Av\\d+\\z", "v42"), true);
});

test("flags, groups and escapes are translated into JavaScript's", () => {
  assert.equal(matches("(?i)beta", "BETA"), true);
  assert.equal(matches("beta", "BETA"), false);
  assert.equal(matches("beta", "BETA", true), true);
  assert.equal(matches("(?P<year>\\d{4})\\-\\d\\d", "2024-05"), true);
  assert.equal(matches("a\\_b\\.c", "a_b.c"), true);
});

test("what JavaScript would read as something else is refused", () => {
  for (const source of ["\\pN", "[[:alpha:]]+", "\\Qa.b\\E", "(?U)a+", "("])
    assert.equal(typeof wholeRegExp(source, false), "string", source);
});
