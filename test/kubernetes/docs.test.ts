import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { annotations } from "../../src/kubernetes/annotations.ts";

test("docs/kubernetes.md has every annotation, with what the code says of it, and no other", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "kubernetes.md"), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `outrigger.dev/"));
  assert.deepEqual(
    rows,
    Object.entries(annotations).map(([name, { value, doc }]) => `| \`outrigger.dev/${name}\` | ${value} | ${doc} |`),
  );
});
