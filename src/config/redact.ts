import { resolveBack } from "./resolve.ts";
import type { Plain } from "./schema/type.ts";
import { schema } from "./schema.ts";
import type { Config } from "./types.ts";

/** A configuration in the words of the file (`2s`, not 2000), with secrets as `***`: for admin and for people. */
export function redact(config: Config): Plain {
  return schema.write(resolveBack(config));
}
