import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import { jsonSchema } from "../../src/config/schema-json.ts";

const schema = jsonSchema();
const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile({ ...schema });

/** Whether an editor that knows the schema would be content. */
function accepts(text: string): boolean {
  return validate(parse(text));
}

const folder = new URL("../../config/", import.meta.url);

for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
  test(`the JSON Schema accepts config/${file}`, () => {
    assert.ok(accepts(readFileSync(new URL(file, folder), "utf8")));
  });
}

const rows: readonly [string, boolean][] = [
  ["", true],
  ["upstreams:\nnames:\n", true],
  ["wrokers: 1", false],
  ["service: { name: user }", false],
  ["service: { name: user, address: 127.0.0.1:1 }", true],
  ["service: { name: User, address: 127.0.0.1:1 }", false],
  ["service: { name: user, address: 127.0.0.1:1, adress: x }", false],
  ["service: { name: user, address: 127.0.0.1:1, tags: v1 }", false],
  ['service: { name: user, address: 127.0.0.1:1, meta: { "a b": c } }', false],
  ["service: { name: user, address: 127.0.0.1:1, meta: { a: 1.10 } }", false],
  ["log: { level: verbose }", false],
  ['log: { level: "${LEVEL}" }', true],
  ["drain: { notice: 2 }", false],
  ["drain: { notice: 2s }", true],
  ["drain: { notice: 2sec }", false],
  ['drain: { notice: "${NOTICE:-2s}" }', true],
  ["names: { onDemand: { rate: 10 } }", false],
  ["names: { onDemand: { rate: 10/s, max: 0 } }", false],
  ["workers: 1", true],
  ["workers: 0", false],
  ["workers: ${WORKERS}", true],
  ["upstreams: { orders: { balancer: roundRobin }, billing: }", true],
  ["upstreams: { orders: { balancer: p2c } }", false],
  ["upstreams: { orders: { circuitBreaker: {} } }", true],
  ["upstreams: { Orders: {} }", false],
];

for (const [text, expected] of rows) {
  test(`the JSON Schema ${expected ? "accepts" : "refuses"} ${JSON.stringify(text)}`, () => {
    assert.equal(accepts(text), expected);
  });
}

test("every property has a description", () => {
  const bare: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, below] of Object.entries(value)) {
      if (key === "properties") {
        for (const [name, property] of Object.entries(Object(below))) {
          if (!Object.hasOwn(Object(property), "description")) bare.push(`${path}.${name}`);
        }
      }
      walk(below, key === "properties" ? path : `${path}.${key}`);
    }
  };
  walk(schema, "");
  assert.deepEqual(bare, []);
});
