import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");

function dependenciesOf(path: string): string[] {
  const manifest: unknown = JSON.parse(readFileSync(join(root, path), "utf8"));
  assert.ok(typeof manifest === "object" && manifest !== null);
  const names: string[] = [];
  for (const [key, value] of Object.entries(manifest))
    if (key === "dependencies" || key === "devDependencies") names.push(...Object.keys(value));
  return names;
}

test("the README says of every dependency what it is for, and of nothing else", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const section = readme.slice(readme.indexOf("## Dependencies"), readme.indexOf("## Licence"));
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name));
  const used = new Set([...dependenciesOf("package.json"), ...dependenciesOf("services/user/package.json")]);
  assert.deepEqual(new Set(named), used);
});

test("every file and command that the README names is there", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const [, path] of readme.matchAll(/\]\(([^)#:]+)\)/g))
    assert.ok(existsSync(join(root, path ?? "")), `${path} is missing`);
  const manifest: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g))
    assert.ok(manifest.scripts[script ?? ""], `npm run ${script}`);
});
