import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

const folder = new URL("../../docs/admin/", import.meta.url);
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const schemas = new Map<string, ValidateFunction>(
  readdirSync(folder).map((file) => {
    const schema: unknown = JSON.parse(readFileSync(new URL(file, folder), "utf8"));
    assert.ok(typeof schema === "object" && schema !== null);
    return [file.replace(".schema.json", ""), ajv.compile(schema)];
  }),
);

/** The names of the schemas in docs/admin. */
export const schemaNames: readonly string[] = [...schemas.keys()].sort((one, other) => (one < other ? -1 : 1));

/** Whether a value is what the schema of that name says. */
export function accepts(name: string, value: unknown): boolean {
  const validate = schemas.get(name);
  assert.ok(validate !== undefined, `there is a schema ${name}`);
  return validate(value);
}

/** What the last value did not have. */
export function why(name: string): string {
  return ajv.errorsText(schemas.get(name)?.errors);
}
