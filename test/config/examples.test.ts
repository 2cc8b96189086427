import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { schema } from "../../src/config/schema.ts";
import { walkSchema } from "../../src/config/walk.ts";
import { good } from "./load-text.ts";

const folder = new URL("../../config/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const SECRET = "5b1c9d0e-71f3-4c52";
const env = {
  SERVICE: "user",
  HOST_IP: "10.0.0.5",
  POD_NAMESPACE: "prod",
  POD_NAME: "user-7d9",
  CONSUL_HTTP_TOKEN: SECRET,
  AUTHZ_TOKEN: SECRET,
  ADMIN_TOKEN: SECRET,
};

test("there are examples", () => {
  assert.ok(files.length >= 7);
});

for (const file of files) {
  const text = readFileSync(new URL(file, folder), "utf8");

  test(`config/${file} loads without a warning`, () => {
    const result = loadConfig(text, { file, env });
    assert.ok(result.ok, JSON.stringify(result.ok ? [] : result.issues));
    assert.deepEqual(result.warnings, []);
  });

  test(`config/${file} says first what it is for`, () => {
    assert.match(text, file === "full.yaml" ? /^service: +# the application beside/ : /^# [A-Z].{40}/);
  });

  test(`what is printed of config/${file} is read again as the same, but for secrets`, () => {
    const printed = printConfig(text, { file, env, json: false });
    assert.ok(printed.ok);
    assert.doesNotMatch(printed.output, new RegExp(SECRET));
    assert.deepEqual(good(printed.output.replaceAll("***", SECRET), {}), good(text, env));
  });
}

test("every key that there is is in config/full.yaml, in use or in a comment, or in use in an example of its own", () => {
  const text = readFileSync(new URL("full.yaml", folder), "utf8");
  const documents: unknown[] = files.map((file) => parse(readFileSync(new URL(file, folder), "utf8")));
  const comments = text.replaceAll(/^.*?#/gm, "");
  const missing = walkSchema(schema)
    .filter(({ pattern }) => !documents.some((document) => isUsed(document, pattern.split("."))))
    .filter(({ key }) => !new RegExp(`\\b${key}\\b`).test(comments));
  assert.deepEqual(
    missing.map(({ pattern }) => pattern),
    [],
  );
});

/** Whether a value stands under these keys, `*` being any; of a list, in any of its items. */
function isUsed(value: unknown, keys: readonly string[]): boolean {
  const [key, ...rest] = keys;
  if (key === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some((item) => isUsed(item, keys));
  return Object.entries(value).some(([name, below]) => (key === "*" || key === name) && isUsed(below, rest));
}
