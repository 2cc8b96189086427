import { schema } from "../schema.ts";
import { walkSchema } from "../walk.ts";

/**
 * Whether a value is its key's default. What has no effect is tolerated then, since a printed configuration spells out
 * the defaults too and can be read again.
 */
export function isDefault(pattern: string, value: string | number | object): boolean {
  const field = walkSchema(schema).find((key) => key.pattern === pattern)?.field;
  if (field?.absent.kind !== "value") return false;
  return JSON.stringify(field.type.write(value)) === JSON.stringify(field.type.write(field.absent.value));
}
