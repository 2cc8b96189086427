import { statusWords } from "../../http/status-words.ts";
import { serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset, required, section } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { match } from "./match.ts";

/** An item of `faults` */
export const fault = object({
  name: required(serviceName("a name"), "How it is called in answers, logs and metrics."),
  direction: preset(words(["inbound", "outbound"]), "outbound", "Calls of others, or those of the application."),
  match: section(match, "Which calls it is for."),
  percentage: preset(percent(), 1, "The share of them that it befalls."),
  delay: optional(duration(), "How long a call is held back.", "not at all"),
  abort: optional(
    words(statusWords),
    "The gRPC status that a call ends with, without having gone anywhere.",
    "it goes on",
  ),
});

/** `deadlines` */
export const deadlines = object({
  refuseHopeless: preset(
    words(["never", "onRequest"]),
    "never",
    "With onRequest a call with less time left than the fastest answer of its method took in the last 10s to 20s is refused at once.",
  ),
});
