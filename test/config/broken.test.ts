import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { checkText } from "../../src/config/check-text.ts";

const folder = new URL("../fixtures/config/broken/", import.meta.url);
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length));

/** The variables that the fixtures use, beside those that are not set. */
const env = { EMPTY: "", WORD: "fast", HIGH_PORT: "70000", YAML: "user\n  protocol: tcp" };

/** `UPDATE_GOLDEN=1 node --test test/config/broken.test.ts` writes the outputs anew, to be read before they are kept. */
const update = process.env.UPDATE_GOLDEN === "1";

test("there are at least a hundred broken files", () => {
  assert.ok(names.length >= 100, `only ${names.length}`);
});

for (const name of names) {
  test(`${name}.yaml is refused with the words that are expected`, () => {
    const text = readFileSync(new URL(`${name}.yaml`, folder), "utf8");
    const expected = new URL(`${name}.expected`, folder);
    const { ok, output } = checkText(text, { file: `${name}.yaml`, env, json: false });
    assert.equal(ok, false);
    if (update) writeFileSync(expected, output);
    assert.ok(existsSync(expected), `no ${name}.expected: run with UPDATE_GOLDEN=1`);
    assert.equal(output, readFileSync(expected, "utf8"));
  });
}

test("the JSON form holds the same issues at the same places", () => {
  for (const name of names) {
    const text = readFileSync(new URL(`${name}.yaml`, folder), "utf8");
    const issues: unknown = JSON.parse(checkText(text, { file: `${name}.yaml`, env, json: true }).output);
    assert.ok(Array.isArray(issues) && issues.length > 0, name);
    const human = readFileSync(new URL(`${name}.expected`, folder), "utf8");
    const places = issues.map((issue: { line: number; column: number }) => `${issue.line}:${issue.column}`);
    assert.deepEqual(
      places,
      [...human.matchAll(/^\S+\.yaml:(\d+:\d+): /gm)].map((match) => match[1]),
      name,
    );
  }
});
