import type { JsonSchema } from "./schema/type.ts";
import { schema } from "./schema.ts";

/** The JSON Schema of the file (draft 2020-12): what editors check and complete by. It allows `${...}` wherever the file does. */
export function jsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Outrigger configuration",
    ...schema.jsonSchema(),
  };
}
