import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { formatIssues } from "../../src/config/format-issues.ts";
import type { Issue } from "../../src/config/issue.ts";
import { loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { seededRandom } from "../support/random.ts";

const folders = ["../../config/", "../fixtures/config/broken/"].map((path) => new URL(path, import.meta.url));
const texts = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => readFileSync(new URL(name, folder), "utf8")),
);
const env = { SERVICE: "user", HOST_IP: "10.0.0.5", EMPTY: "", WORD: "fast" };

const pieces = [
  ...Array.from("{}[]:,#&*!|>'\"%@`-?\t\n\r \\~=<$0aé\u0000\u2028\uFEFF🚀"),
  ": ",
  "- ",
  "<<: ",
  "${SERVICE}",
  "${NONE}",
  "${",
  "$${",
  "&a ",
  "*a",
  "!!int ",
  "---\n",
  "...\n",
  "%YAML 1.1\n",
  "null",
  "true",
  "1e999",
  "0x1F",
  ".nan",
  "|-\n",
  "? ",
  "__proto__: ",
  "constructor: ",
  "[[[[",
];

/** One change to a text, as a slip of the hand or a bad merge makes it. */
function mutate(text: string, random: () => number): string {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const at = Math.floor(random() * (text.length + 1));
  const lines = text.split("\n");
  const line = Math.floor(random() * lines.length);
  switch (Math.floor(random() * 9)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + Math.floor(random() * 4));
    case 1:
      return text.slice(0, at) + (pick(pieces) ?? "") + text.slice(at);
    case 2:
      return lines.toSpliced(line, 1).join("\n");
    case 3:
      return lines.toSpliced(Math.floor(random() * lines.length), 0, lines[line] ?? "").join("\n");
    case 4:
      return lines.with(line, `${" ".repeat(Math.floor(random() * 5))}${lines[line] ?? ""}`).join("\n");
    case 5:
      return lines.with(line, (lines[line] ?? "").replace(/^ {1,2}/, "")).join("\n");
    case 6:
      return text.slice(0, at) + (pick(pieces) ?? "") + text.slice(at + 1);
    case 7:
      return text.slice(0, at) + (pick(texts) ?? "").slice(0, 200);
    default:
      return text.replaceAll("\n", "\r\n").slice(0, at + 20);
  }
}

function assertPlaced(issues: readonly Issue[], text: string): void {
  assert.ok(issues.length > 0, "refused without a reason");
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  for (const issue of issues) {
    const line = lines[issue.line - 1];
    assert.ok(line !== undefined, JSON.stringify(issue));
    const last = Array.from(line).length + 1;
    assert.ok(Number.isInteger(issue.column) && issue.column >= 1 && issue.column <= last, JSON.stringify(issue));
    assert.match(issue.message, /^[^\n]+$/);
    assert.ok(issue.message.length < 1000, issue.message);
  }
}

/** More where there is time: `MUTATIONS=100000 node --test test/config/mutation.test.ts`. */
const mutations = Number(process.env.MUTATIONS ?? 3_000);

test("mutations of the examples and of the broken files are read or refused at a place, never thrown", () => {
  let accepted = 0;
  for (let seed = 1; seed <= mutations; seed++) {
    const random = seededRandom(seed);
    let text = texts[Math.floor(random() * texts.length)] ?? "";
    for (let times = 1 + Math.floor(random() * 4); times > 0; times--) text = mutate(text, random);
    try {
      const result = loadConfig(text, { file: "mutant.yaml", env });
      if (result.ok) accepted++;
      else {
        assertPlaced(result.issues, text);
        formatIssues(result.issues, "mutant.yaml", text);
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  assert.ok(accepted > mutations / 100, `only ${accepted} mutants were still right: the mutations destroy too much`);
});

test("what is printed of a mutant that is still right is read again as the same", () => {
  for (let seed = 1; seed <= mutations / 3; seed++) {
    const random = seededRandom(seed);
    const text = mutate(texts[Math.floor(random() * 7)] ?? "", random);
    const printed = printConfig(text, { file: "mutant.yaml", env, json: false });
    if (!printed.ok) continue;
    const again = printConfig(printed.output, { file: "again.yaml", env: {}, json: true });
    assert.ok(again.ok, `seed ${seed}: ${again.output}`);
    const config: unknown = JSON.parse(printConfig(text, { file: "mutant.yaml", env, json: true }).output);
    const configAgain: unknown = JSON.parse(again.output);
    assert.deepEqual(Object(configAgain).config, Object(config).config, `seed ${seed}`);
  }
});
