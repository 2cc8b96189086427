import { notYet } from "./not-yet.ts";
import type { JsonSchema, Plain } from "./schema/type.ts";
import { schema } from "./schema.ts";

/** The JSON Schema of the file (draft 2020-12): what editors check and complete by. It allows `${...}` wherever the file does. */
export function jsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Outrigger configuration",
    ...limited(schema.jsonSchema(), []),
  };
}

/** Numbers that are not yet supported are above the maximum. */
function limited(json: JsonSchema, path: readonly string[]): JsonSchema {
  const properties = json.properties as { readonly [key: string]: JsonSchema } | undefined;
  if (properties === undefined) return json;
  const entries = Object.entries(properties).map(([key, value]): [string, Plain] => {
    const pattern = [...path, key].join(".");
    const above = notYet.find((line) => line.key === pattern && line.above !== undefined)?.above;
    if (above === undefined) return [key, limited(value, [...path, key])];
    return [
      key,
      {
        ...value,
        anyOf: [
          { type: "integer", minimum: 1, maximum: above },
          { type: "string", pattern: "\\$\\{" },
        ],
      },
    ];
  });
  return { ...json, properties: Object.fromEntries(entries) };
}
