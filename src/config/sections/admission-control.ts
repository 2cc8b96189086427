import { statusWords } from "../../http/status-words.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { preset } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";

/** `upstreams.NAME.admissionControl` */
export const admissionControl = object({
  acceptRate: preset(
    percent(),
    0.5,
    "While it accepts at least this share of its calls all are sent. Below that as many are as it accepts, divided by this: at 50% twice as many.",
  ),
  window: preset(duration({ min: 1000, max: 600_000 }), 30_000, "How far it looks back."),
  minimumRequests: preset(integer({ min: 1, max: 1_000_000 }), 20, "With fewer calls in the window all are sent."),
  maxRefused: preset(percent(), 0.8, "The share of calls that is refused at most; the others find out how it is."),
  statuses: preset(
    list(words(statusWords)),
    ["unavailable", "resourceExhausted", "deadlineExceeded", "internal", "dataLoss"],
    "What a call ends with that was not accepted, retries included; a caller's cancel is neither.",
  ),
});
