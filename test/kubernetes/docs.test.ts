import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { annotations } from "../../src/kubernetes/annotations.ts";
import { inject } from "../../src/kubernetes/pod.ts";
import { defaults, pod } from "./pods.ts";

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "kubernetes.md"), "utf8");

test("docs/kubernetes.md has every annotation, with what the code says of it, and no other", () => {
  const rows = page.split("\n").filter((line) => line.startsWith("| `outrigger.dev/"));
  assert.deepEqual(
    rows,
    Object.entries(annotations).map(([name, { value, doc }]) => `| \`outrigger.dev/${name}\` | ${value} | ${doc} |`),
  );
});

test("the annotations that it shows as an example make a sidecar", () => {
  const examples = [...page.matchAll(/^```yaml\n(outrigger\.dev\/[\s\S]*?)^```$/gm)].map(([, text = ""]) =>
    parse(text),
  );
  assert.equal(examples.length, 1);
  for (const example of examples) {
    const given = pod();
    const made = inject({ ...given, metadata: { ...Object(given.metadata), annotations: example } }, defaults);
    assert.equal(made.kind, "injected", JSON.stringify(made));
  }
});
