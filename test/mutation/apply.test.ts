import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applied } from "./apply.ts";
import { patches } from "./patches.ts";

const root = join(import.meta.dirname, "..", "..");

for (const patch of patches) {
  test(`the patch "${patch.name}" applies, and there are tests to notice it`, () => {
    const text = readFileSync(join(root, patch.file), "utf8");
    assert.notEqual(applied(patch, text), text);
    for (const pattern of patch.tests) assert.notEqual(globSync(pattern, { cwd: root }).length, 0, pattern);
  });
}

test("a patch whose text is not there, or there twice, is an error", () => {
  const patch = { name: "p", file: "f.ts", from: "a", to: "b", tests: [] };
  assert.equal(applied(patch, "xay"), "xby");
  assert.throws(() => applied(patch, "xy"), /^Error: the patch "p" no longer applies: f.ts has its text 0 times$/);
  assert.throws(() => applied(patch, "aa"), /f.ts has its text 2 times$/);
});
