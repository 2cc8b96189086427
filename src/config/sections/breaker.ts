import { statusWords } from "../../http/status-words.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";

/** `upstreams.NAME.circuitBreaker` */
export const circuitBreaker = object({
  failureRate: preset(percent(), 0.5, "It opens when at least this share of the attempts in the window failed."),
  slowCall: optional(duration(), "An attempt whose answer begins after this much or more is slow."),
  slowRate: optional(percent(), "It opens as well when at least this share of the attempts was slow.", "none"),
  window: preset(duration({ min: 1000, max: 600_000 }), 10_000, "How far it looks back."),
  minimumRequests: preset(
    integer({ min: 1, max: 1_000_000 }),
    20,
    "With fewer attempts in the window it stays closed.",
  ),
  openFor: preset(
    duration({ min: 10 }),
    5_000,
    "Then one call tries again: with its success all pass, with its failure none. One that lasts as long again, as a stream does, is not waited for: another tries.",
  ),
  statuses: preset(
    list(words(statusWords)),
    ["unavailable", "deadlineExceeded", "internal", "unknown", "dataLoss"],
    "What counts as a failure of an attempt, the upstream's own answers included; a caller's cancel is neither.",
  ),
  scope: preset(words(["upstream", "method"]), "upstream", "One breaker for all of its methods, or one for each."),
  fallback: optional(
    object({
      upstream: optional(serviceName(), "Another upstream that takes the calls."),
      status: optional(words(statusWords), "The gRPC status of the refusal."),
    }),
    "What becomes of calls while it is open.",
    "they end with UNAVAILABLE",
  ),
});
