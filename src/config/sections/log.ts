import { object } from "../schema/object.ts";
import { preset } from "../schema/type.ts";
import { words } from "../schema/words.ts";

/** `log` */
export const log = object({
  level: preset(
    words(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    "info",
    "What is logged, as JSON lines on standard error.",
  ),
  access: preset(words(["all", "errors", "none"]), "errors", "Which calls are logged."),
});
