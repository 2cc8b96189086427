import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formatIssues } from "../../src/config/format-issues.ts";
import type { Issue } from "../../src/config/issue.ts";
import { loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { mutateText } from "./mutate-text.ts";
import { shape, type Target } from "./target.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const env = { NAME: "value", NUMBER: "7", EMPTY: "", YAML: "a: [b", ADDRESS: "127.0.0.1:80" };
const options = { file: "f", env };

/** Microseconds of a processor in which the longest file that is made here has to be read, by far. */
const MOST_WORK = 20_000_000;

/**
 * The configuration. Whatever the text is: no exception, an end, and of each mistake a place that the text has. What is accepted
 * and printed is accepted again, and is the same.
 */
export const yaml: Target = {
  name: "yaml",
  seeds: () => [
    ...["full.yaml", "outrigger.yaml"].flatMap((name) => textOf(join(ROOT, "config", name))),
    ...readdirSync(join(ROOT, "config"))
      .filter((name) => name.endsWith(".yaml"))
      .flatMap((name) => textOf(join(ROOT, "config", name)))
      .slice(0, 12),
    ...hostile.map((text) => Buffer.from(text)),
  ],
  mutate: mutateText([
    "${NAME}",
    "${NUMBER}",
    "${EMPTY}",
    "${YAML}",
    "${ADDRESS}",
    "${NONE:-x}",
    "${",
    "$${",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!x ",
    "? ",
    ": ",
    "- ",
    "[",
    "{",
    "]",
    "}",
    "|\n  ",
    ">-\n  ",
    "'",
    '"',
    '"\\ud800"',
    '"\\x00"',
    "\t",
    "\r\n",
    "# ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "\ufeff",
    "\u2028",
    "é",
    "😀",
    "__proto__",
    "constructor",
    "null",
    "~",
    "yes",
    ".nan",
    "-.inf",
    "0x10",
    "0o7",
    "1e999",
    "99999999999999999999",
    "-1",
    "1s",
    "1%",
    "64KiB",
    "100/s",
    "127.0.0.1:0",
    "unix:/x",
    "[::1]:80",
    ":",
    "upstreams:\n  x:\n",
    "service: { name: a, address: 127.0.0.1:1 }\n",
  ]),
  run(input) {
    const text = input.toString("utf8");
    const before = process.cpuUsage();
    const lines = read(text);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < MOST_WORK, `${user + system} µs for ${text.length} characters`);
    return lines;
  },
};

function read(text: string): string[] {
  const result = loadConfig(text, options);
  if (!result.ok) {
    assert.ok(result.issues.length > 0, "refused for no reason");
    for (const issue of result.issues) checkPlace(issue, text);
    assert.ok(formatIssues(result.issues, "f", text).length > 0);
    return result.issues.map(({ code, message }) => `${code} ${shape(message)}`);
  }
  const first = printConfig(text, { ...options, json: false });
  const again = printConfig(first.output, { ...options, json: true });
  assert.ok(first.ok && again.ok, `what is printed is refused: ${again.output}\n${first.output}`);
  assert.deepEqual(configOf(again.output), configOf(printConfig(text, { ...options, json: true }).output));
  return ["accepted"];
}

function configOf(output: string): unknown {
  return (JSON.parse(output) as { config: unknown }).config;
}

/** A mistake stands in the text, or right behind it. */
function checkPlace({ line, column, message }: Issue, text: string): void {
  const lines = text.split("\n");
  const of = lines[line - 1];
  assert.ok(of !== undefined, `line ${line} of ${lines.length}: ${message}`);
  assert.ok(column >= 1 && column <= of.length + 1, `column ${column} of ${of.length} in line ${line}: ${message}`);
  assert.ok(message !== "" && !message.includes("\n"), `a message of one line: ${message}`);
}

function textOf(path: string): Buffer[] {
  try {
    return [readFileSync(path).subarray(0, 4096)];
  } catch {
    return [];
  }
}

/** What has broken other readers of YAML. */
const hostile = [
  "",
  "a: &a [1,2]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]\ne: &e [*d,*d]\nf: [*e,*e]\n",
  `service: ${"[".repeat(2000)}`,
  `${"{a: ".repeat(1000)}1${"}".repeat(1000)}`,
  `${Array.from({ length: 300 }, (_, at) => `${" ".repeat(at)}a:`)
    .join("\n")
    .slice(0, 4000)}`,
  `service: { name: ${"a".repeat(4000)} }`,
  "service: !!binary aGVsbG8=\n",
  "? [a, b]\n: c\n",
  "__proto__: { a: b }\nconstructor: x\n",
  "service:\n  name: a\n  name: b\n",
  "service: &s { name: *s }\n",
  "<<: { service: { name: a } }\n",
  "\ufeffservice: {}\r\nidentity: {}\r\n",
  'identity: { name: "\\ud83d" }\n',
  "identity: { name: é😀 }\n",
  "a\u0000b: c\n",
  "upstreams:\n  ? x\n  : { endpoints: [127.0.0.1:1] }\n",
  "identity: {name: '${NAME}'}\nlog: {level: debug}\n",
];
