import { jsonSchema } from "../config/schema-json.ts";
import { type Command, print } from "./command.ts";

/** `outrigger schema`. */
export const schemaCommand: Command = {
  summary: "the JSON Schema of the configuration file",
  options: {},
  run: () => print({ ok: true, output: `${JSON.stringify(jsonSchema(), null, 2)}\n` }),
};
