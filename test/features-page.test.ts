import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { schema } from "../src/config/schema.ts";
import { walkSchema } from "../src/config/walk.ts";

const root = join(import.meta.dirname, "..");
const rows = readFileSync(join(root, "docs/features.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (feature|---)/.test(line))
  .map((line) => line.slice(2, -2).split(" | "));

const inCode = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);

test("every key that the page of features names is one of the configuration", () => {
  const patterns = walkSchema(schema).map(({ pattern }) => pattern);
  const keys = new Set(patterns.map((pattern) => pattern.replaceAll("*", "NAME")));
  const sections = new Set(patterns.map((pattern) => pattern.split(".")[0]));
  let named = 0;
  for (const [feature, here = ""] of rows)
    for (const code of inCode(here)) {
      if (!sections.has(code.split(".")[0])) continue;
      named++;
      assert.ok(keys.has(code), `${feature}: there is no key ${code}`);
    }
  assert.ok(named > 50, `${named} keys`);
});

test("every feature has a key, is always there, or says why not, and names tests that are there", () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  for (const [feature, here = "", shown = ""] of rows) {
    assert.match(here, /^(`|always|no: )/, `${feature}`);
    if (here.startsWith("no: ")) continue;
    const tests = inCode(shown);
    assert.ok(tests.length > 0, `${feature} names no test`);
    for (const path of tests) assert.ok(existsSync(join(root, path)), `${feature}: ${path} is missing`);
  }
});
