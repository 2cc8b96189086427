import assert from "node:assert/strict";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { defaultPoolOptions } from "../src/cluster/pool/pool-options.ts";
import { defaultHeaderTableLimits } from "../src/http/headers.ts";
import { defaultLimits, defaultSharedLimits } from "../src/http2/limits.ts";
import { defaultHandshakeLimits } from "../src/identity/handshake-limits.ts";
import { defaultListenerLimits } from "../src/net/listener.ts";
import { MAX_HOPS } from "../src/proxy/hops.ts";
import { defaultWaitingLimits } from "../src/proxy/waiting-room.ts";

const page = await readFile(join(import.meta.dirname, "..", "docs", "limits.md"), "utf8");

/** The rows of the tables under a heading: the name, and the numbers that follow it. */
function rows(heading: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  const start = page.indexOf(`\n## ${heading}\n`);
  assert.ok(start >= 0, heading);
  const end = page.indexOf("\n## ", start + 4);
  for (const line of page.slice(start, end < 0 ? undefined : end).split("\n")) {
    const row = /^\| `([a-zA-Z.]+)` \| (.*) \|$/.exec(line);
    const [name, cells] = [row?.[1], row?.[2]?.split(" | ") ?? []];
    if (name === undefined) continue;
    assert.equal(found.has(name), false, `${name} stands there twice`);
    const numbers: number[] = [];
    for (const cell of cells) {
      if (!/^[0-9.]+$/.test(cell)) break;
      numbers.push(Number(cell));
    }
    found.set(name, numbers);
  }
  return found;
}

/** An object of limits in the form of `rows`: budgets are two numbers, other objects are spelled out. */
function named(limits: object, prefix = ""): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const [name, value] of Object.entries(limits) as [string, unknown][]) {
    if (typeof value === "number") found.set(prefix + name, [value]);
    if (typeof value !== "object" || value === null) continue;
    if ("burst" in value && "rate" in value && Object.keys(value).length === 2)
      found.set(prefix + name, [Number(value.burst), Number(value.rate)]);
    else for (const [inner, numbers] of named(value, `${prefix}${name}.`)) found.set(inner, numbers);
  }
  return found;
}

const sections: readonly (readonly [heading: string, limits: object])[] = [
  ["One HTTP/2 connection", defaultLimits],
  ["All connections together", { ...defaultListenerLimits, ...defaultSharedLimits }],
  ["Header lists", defaultHeaderTableLimits],
  ["Calls that wait", defaultWaitingLimits],
  ["Connections to one endpoint", defaultPoolOptions],
  ["TLS handshakes", defaultHandshakeLimits],
  ["Sidecars on the way of a call", { maxHops: MAX_HOPS }],
];

for (const [heading, limits] of sections) {
  test(`docs/limits.md has every limit under "${heading}", with its default`, () => {
    assert.deepEqual(
      [...rows(heading)].sort(([a], [b]) => a.localeCompare(b)),
      [...named(limits)].sort(([a], [b]) => a.localeCompare(b)),
    );
  });
}

test("docs/limits.md names tests that there are", async () => {
  const named = [...page.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, path = ""]) => path);
  assert.ok(named.length > 15);
  for (const path of named) await access(join(import.meta.dirname, "..", path));
});
