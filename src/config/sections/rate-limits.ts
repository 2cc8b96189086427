import { algorithms } from "../../limits/algorithms.ts";
import { keyPart } from "../schema/calls.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { dialAddress, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { storeUrl } from "../schema/store-url.ts";
import { string } from "../schema/text.ts";
import { optional, preset, required, section } from "../schema/type.ts";
import { duration, percent, quota } from "../schema/units.ts";
import { words, wordsOf } from "../schema/words.ts";
import { none } from "./defaults.ts";
import { match } from "./match.ts";

/** An item of `rateLimits` */
export const rateLimits = object({
  name: required(serviceName("a name"), "How the limit is called in answers, metrics and the store."),
  direction: preset(words(["inbound", "outbound"]), "inbound", "Calls of others, or those of the application."),
  match: section(match, "Which calls it is for."),
  key: preset(
    list(keyPart()),
    none,
    "What tells calls apart: each key has the limit for itself. Calls without a part share one key; [] for one limit of all. identity is the verified one of the caller.",
  ),
  limit: optional(quota(), "How many calls pass. Needed unless a service says it.", "the service says it"),
  burst: optional(
    integer({ min: 1, max: 1_000_000_000 }),
    "Calls that may pass at once after a rest; tokenBucket only.",
    "as many as limit says before the slash",
  ),
  algorithm: preset(
    words(wordsOf(algorithms)),
    "tokenBucket",
    "How it is counted. slidingWindow: the last second, minute, hour or day; fixedWindow: a quota of each one of UTC.",
  ),
  store: preset(storeUrl(), "memory", "Where it is counted; in Redis for several sidecars together."),
  scope: optional(serviceName("a name"), "Those who share a limit in Redis: its name there.", "identity.name"),
  lease: optional(
    integer({ min: 1, max: 1_000_000 }),
    "Calls that a sidecar takes from Redis at once, which is also by how many each may overshoot.",
    "a twentieth of what may pass at once, but 5",
  ),
  timeout: preset(duration({ max: 10_000 }), 100, "Within this much Redis or the service has to answer."),
  onStoreFailure: optional(
    words(["local", "allow", "deny"]),
    "While Redis or the service does not answer: the local share, every call, or none.",
    "local, and with a service allow",
  ),
  localShare: preset(percent(), 1, "The part of the limit that this sidecar has while Redis does not answer."),
  service: optional(
    object({
      address: required(dialAddress(), "Its plain gRPC server."),
      domain: preset(string("a domain"), "outrigger", "The domain that it is asked for."),
    }),
    "Who decides instead: a service of Envoy's protocol envoy.service.ratelimit.v3. It is asked for each call.",
    "this sidecar",
  ),
  quotaService: optional(
    object({
      address: required(dialAddress(), "Its plain gRPC server."),
      domain: preset(string("a domain"), "outrigger", "The domain that it assigns quotas of."),
      report: preset(duration({ min: 100 }), 5000, "How often it is told how much was used."),
      unassigned: preset(
        words(["allow", "deny", "limit"]),
        "allow",
        "Before it has assigned a quota: every call passes, none, or as many as limit says.",
      ),
      expired: preset(
        words(["keep", "allow", "deny", "limit"]),
        "keep",
        "Once a quota has expired: as before, every call, none, or as many as limit says.",
      ),
      expiredFor: preset(
        duration({ max: 86_400_000 }),
        60_000,
        "For how long; after that it is as before the first one.",
      ),
    }),
    "Who says how many calls of each key pass: a service of Envoy's protocol envoy.service.rate_limit_quota.v3. No call waits for it.",
    "limit",
  ),
  maxKeys: preset(
    integer({ min: 1, max: 10_000_000 }),
    10_000,
    "Keys that are told apart at once, about 300 bytes each; those beyond share one until another has recovered.",
  ),
  headers: preset(
    words(["known", "all", "pushback"]),
    "known",
    "Whom a refusal tells x-ratelimit-limit, -remaining and -reset, beside when to come again: the application beside this sidecar and callers with a verified identity, all callers, or nobody.",
  ),
  mode: preset(
    words(["enforce", "shadow"]),
    "enforce",
    "Whether it refuses: shadow refuses nothing and counts what it would have refused.",
  ),
});
