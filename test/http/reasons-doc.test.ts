import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { reasons, statusName } from "../../src/http/reason.ts";

const text = readFileSync(new URL("../../docs/reasons.md", import.meta.url), "utf8");

test("docs/reasons.md has a row for each reason, with its status and retry, and no other", () => {
  const row = /^\| \[([A-Z_]+)\]\(#([a-z_]+)\) +\| ([A-Z_]+) +\| (\w+) +\| (\w+) +\|$/gm;
  const rows = [...text.matchAll(row)].map(([, id, link, status, fault, retry]) => ({
    id,
    link,
    status,
    fault,
    retry,
  }));
  assert.deepEqual(
    rows.map(({ id, link, status, retry }) => ({ id, link, status, retry })),
    Object.entries(reasons).map(([id, { status, retry }]) => {
      return { id, link: id.toLowerCase(), status: statusName(status), retry };
    }),
  );
  for (const { id, fault } of rows)
    assert.ok(["caller", "service", "network", "sidecar"].includes(`${fault}`), `${id}`);
});

test("docs/reasons.md explains each word for a retry that is used, and no other", () => {
  const explained = [...text.matchAll(/^\| `(\w+)` +\| /gm)].map(([, word]) => `${word}`);
  assert.deepEqual(new Set(explained), new Set(Object.values(reasons).map(({ retry }) => retry)));
});

test("docs/reasons.md has a section for each reason: the stranger's sentence, what it means, what to do", () => {
  const sections = text.split(/^## /m).slice(1);
  assert.deepEqual(
    sections.map((section) => section.split("\n", 1)[0]),
    Object.keys(reasons),
  );
  for (const [at, { text: sentence }] of Object.values(reasons).entries()) {
    const [id, quote, meaning, ...more] = (sections[at] ?? "").trim().split("\n\n");
    assert.equal(quote, `> ${sentence}`, `${id}`);
    assert.ok((meaning ?? "").length > 40, `${id} says what it means`);
    assert.ok(more.at(-1)?.startsWith("What to do: "), `${id} says what to do`);
  }
});
