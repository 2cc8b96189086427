import { accessModes, redactable } from "../../observability/access-log.ts";
import { logFormats, logLevels } from "../../observability/log.ts";
import { list } from "../schema/collections.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { duration, percent, rate } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

/** `log` */
export const log = object({
  level: preset(words(logLevels), "info", "What is logged, as JSON lines on standard error."),
  format: preset(
    words(logFormats),
    "json",
    "Names of fields: short ones, or those of the Elastic Common Schema, which the ELK stack takes as they are.",
  ),
  access: preset(words(accessModes), "errors", "Which calls are logged."),
  sampling: preset(percent(), 1, "Share of the calls that ended with OK which are logged, with access: all."),
  slow: optional(duration(), "A call whose answer takes longer to begin is logged, whatever access says."),
  limit: preset(
    rate(),
    10,
    "Lines of slow calls, and of failures with access: none. What is over it is counted and told with the next line.",
  ),
  redact: preset(list(words(redactable)), none, "Facts of a call that its line does not tell: each becomes ***."),
});
