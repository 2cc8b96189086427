import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "yaml";
import { notYet } from "../../src/config/not-yet.ts";
import type { Type } from "../../src/config/schema/type.ts";
import { schema } from "../../src/config/schema.ts";
import { walkSchema } from "../../src/config/walk.ts";
import { yamlScalar } from "../../src/config/yaml-scalar.ts";
import { bad } from "./load-text.ts";

const keys = walkSchema(schema);

function wordsOf(type: Type<unknown>): readonly string[] {
  if (type.shape.kind === "scalar") return type.shape.words;
  return type.shape.kind === "list" || type.shape.kind === "record" ? wordsOf(type.shape.item) : [];
}

/** Everything that a user may write because the program knows it. */
const vocabulary = [
  ...keys.flatMap(({ key, field }) => [key, ...wordsOf(field.type)]),
  ...notYet.flatMap(({ key, words }) => [...key.split(".").filter((part) => part !== "*"), ...(words ?? [])]),
];

test("no key and no word is a boolean or null in YAML 1.1", () => {
  assert.ok(vocabulary.length > 80);
  for (const word of vocabulary) assert.equal(parse(word, { version: "1.1" }), word, word);
  // What the parser of YAML 1.1 types itself takes for booleans, and what others do.
  const booleans = /^(y|n|yes|no|on|off|true|false|null|~)$/i;
  assert.deepEqual(
    vocabulary.filter((word) => booleans.test(word)),
    [],
  );
});

test("keys are in camel case", () => {
  for (const { pattern, key } of keys) assert.match(key, /^[a-z][a-zA-Z]*$/, pattern);
});

test("every key says what it is for, in a sentence", () => {
  for (const { pattern, field } of keys) assert.match(field.doc, /^[A-Z].{3,}\.$/, pattern);
});

test("what is printed is the same in YAML 1.1, in YAML 1.2 and inside a list", () => {
  const texts = [
    "user",
    "on",
    "1.10",
    "10:30",
    ":15006",
    "a: b",
    "#x",
    "",
    " a",
    "~",
    "0x1",
    "1e3",
    "2001-01-01",
    "a,b",
    "[::1]:1",
    "***",
    "é",
    "10/s",
    "=",
    "<<",
    "\n",
  ];
  for (const text of texts) {
    for (const version of ["1.1", "1.2"] as const) {
      assert.equal(parse(yamlScalar(text), { version }), text, text);
      assert.deepEqual(parse(`[${yamlScalar(text)}, x]`, { version }), [text, "x"], text);
    }
  }
});

for (const { key, words } of notYet) {
  test(`${key} ${words?.join(", ") ?? ""} is not yet supported, which is not the same as unknown`, () => {
    const values = words ?? ["{}"];
    for (const value of values) {
      const steps = key.replace("*", "orders").split(".");
      const text = steps.map((step, depth) => `${"  ".repeat(depth)}${step}:`).join("\n");
      const issues = bad(`${text} ${value}\n`).filter(({ code }) => code === "not-yet-supported");
      assert.equal(issues.length, 1, text);
      const whole = words === undefined;
      assert.deepEqual(issues[0]?.path, steps);
      assert.match(
        issues[0]?.message ?? "",
        whole ? / is not yet supported$/ : new RegExp(`: ${value} is not yet supported$`),
      );
      assert.equal(issues[0]?.line, steps.length);
      assert.equal(
        issues[0]?.column,
        whole ? 2 * steps.length - 1 : 2 * steps.length + (steps.at(-1)?.length ?? 0) + 1,
      );
    }
  });
}

test("what is not yet supported is not in the schema", () => {
  const patterns = new Map(keys.map(({ pattern, field }) => [pattern, wordsOf(field.type)]));
  for (const { key, words } of notYet) {
    assert.equal(patterns.has(key), words !== undefined, key);
    for (const word of words ?? []) assert.ok(!patterns.get(key)?.includes(word), `${key} ${word}`);
  }
});
