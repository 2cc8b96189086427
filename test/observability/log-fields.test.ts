import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { complaints } from "../support/elastic-mapping.ts";

const root = join(import.meta.dirname, "..", "..");
const CALL = /\blog(?:ger)?\??\.(?:trace|debug|info|warn|error|fatal)\(\s*(?=\{)/g;
/** What every line has: another value under one of these would stand twice in it. */
const EVERY_LINE = ["level", "time", "service", "version", "msg"];
/** What `ecsLine` has other names for. */
const RENAMED = ["err", "peer", "endpoint", "direction", "trace_id", "authority"];

interface Field {
  readonly name: string;
  readonly where: string;
}

/** The names of the fields of every line that is written in `src/` with an object in its place. */
function fieldsOfLines(): Field[] {
  return globSync("src/**/*.ts", { cwd: root }).flatMap((file) => {
    const source = readFileSync(join(root, file), "utf8");
    return [...source.matchAll(CALL)].flatMap(({ index, 0: begin }) =>
      topLevel(source, index + begin.length).map((part) => ({ name: /^[\w$]+/.exec(part)?.[0] ?? part, where: file })),
    );
  });
}

/** The parts of the object literal that begins at `from`. */
function topLevel(source: string, from: number): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (let at = from; at < source.length; at++) {
    const character = source[at] ?? "";
    if ("{[(".includes(character)) depth++;
    if ("}])".includes(character)) depth--;
    if (depth === 0 || (depth === 1 && character === ",")) {
      parts.push(part.trim());
      part = "";
      if (depth === 0) break;
    } else if (depth > 1 || !"{".includes(character)) part += character;
  }
  return parts.filter((each) => each !== "" && !each.startsWith("...") && !each.startsWith("//"));
}

/** The types that the index template has for fields of ours. */
function mapped(): ReadonlyMap<string, string> {
  const template = JSON.parse(readFileSync(join(root, "deploy", "elk", "index-template.json"), "utf8"));
  const { properties } = template.template.mappings.properties.outrigger;
  return new Map(Object.entries(properties).map(([name, value]) => [name, String(Object(value).type)]));
}

test("every field of every line that the program can write has a place in the index template", () => {
  const fields = fieldsOfLines();
  assert.ok(fields.length > 150, `${fields.length} fields were found`);
  const types = mapped();
  const unknown = fields.filter(({ name }) => !types.has(name) && !RENAMED.includes(name));
  assert.deepEqual(unknown, []);
});

test("no line has a field twice", () => {
  assert.deepEqual(
    fieldsOfLines().filter(({ name }) => EVERY_LINE.includes(name)),
    [],
  );
});

test("fields are called in one way: words with underscores", () => {
  assert.deepEqual(
    fieldsOfLines().filter(({ name }) => !/^[a-z]+(_[a-z]+)*$/.test(name)),
    [],
  );
});

test("a field that is mapped as a number is refused as a word", () => {
  for (const [name, type] of mapped()) {
    if (type !== "long" && type !== "double") continue;
    assert.deepEqual(complaints({ outrigger: { [name]: 7 } }), []);
    assert.notDeepEqual(complaints({ outrigger: { [name]: "seven" } }), [], name);
  }
});
