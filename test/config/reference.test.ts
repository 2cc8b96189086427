import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { configurationReference } from "../../deploy/configuration-reference.ts";
import { checkText } from "../../src/config/check-text.ts";

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

test("docs/configuration.md is what the schema says; node deploy/configuration-reference.ts writes it", () => {
  assert.equal(page, configurationReference());
});

test("the example of a mistake in docs/configuration.md is what is really said", () => {
  const text = "service:\n  name: user\n  adress: 127.0.0.1:50051\n";
  const { output } = checkText(text, { file: "outrigger.yaml", env: {}, json: false });
  assert.ok(page.includes(`\`\`\`\n${output}\`\`\`\n`), output);
});
