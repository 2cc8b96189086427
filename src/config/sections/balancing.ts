import { defaultLoadSettings } from "../../cluster/load-weight.ts";
import { defaultBias, defaultPolicy } from "../../cluster/policy.ts";
import { metadataName } from "../schema/calls.ts";
import { type KeyRule, list, record } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string, text } from "../schema/text.ts";
import { optional, preset, required } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

/** The name of metadata as a value. */
const metadata = text({
  noun: "a name of metadata",
  label: metadataName.label,
  pattern: metadataName.pattern,
  parse: (written) => metadataName.parse(written),
  write: (value) => value,
});

/** RFC 6265 §4.1.1. */
const cookieName = text({
  noun: "the name of a cookie",
  label: "the name of a cookie",
  pattern: "^[A-Za-z0-9_.-]{1,128}$",
  parse: (written) =>
    /^[A-Za-z0-9_.-]{1,128}$/.test(written) ? parsed(written) : refused(`${quote(written)} cannot be a cookie's name`),
  write: (value) => value,
});

const metaKey: KeyRule = {
  placeholder: "KEY",
  label: "a key of the endpoints' meta",
  pattern: "^[A-Za-z0-9_-]{1,128}$",
  parse: (key) => (/^[A-Za-z0-9_-]{1,128}$/.test(key) ? parsed(key) : refused(`${quote(key)} cannot be a key of meta`)),
};

const meta = record(metaKey, string("a value of the endpoints' meta"));

const { levels, panicThreshold } = defaultPolicy;

/** Keys of an upstream: which of its endpoints a call goes to. */
export const balancing = {
  choices: preset(
    integer({ min: 2, max: 16 }),
    defaultPolicy.choices,
    "Of how many endpoints drawn at random leastRequest takes the one with the fewest calls under way.",
  ),
  order: preset(
    words(["listed", "shuffled"]),
    defaultPolicy.order,
    "In which order pickFirst takes endpoints: as they are listed (by their ids where a source has no order), or in an order of this sidecar's own.",
  ),
  aperture: optional(
    integer({ min: 1, max: 10_000 }),
    "How many of the endpoints this sidecar calls, of each zone and priority; each sidecar others. Where one goes out another takes its place.",
    "all",
  ),
  hash: optional(
    object({
      by: required(
        words(["metadata", "identity", "path"]),
        "What calls have in common that go to the same endpoint: a metadata's value, who calls (the verified identity of this service, which mtls gives it), or the method. Calls without it go to any.",
      ),
      name: optional(metadata, "Which metadata."),
      maxLoad: optional(
        percent({ min: 1, max: 100 }),
        "How much of its share of the calls under way an endpoint may have before others get what would come to it, such as 125%.",
        "any number",
      ),
    }),
    "What ringHash and maglev keep calls together by.",
    "by: path, with ringHash and maglev",
  ),
  loadReports: optional(
    object({
      blackout: preset(
        duration({ min: 0 }),
        defaultLoadSettings.blackout,
        "How long an endpoint has to have reported before it is weighed by that.",
      ),
      expiration: preset(
        duration(),
        defaultLoadSettings.expiration,
        "After how long without a report it no longer is.",
      ),
      update: preset(duration(), defaultLoadSettings.update, "How often the weights are worked out."),
      errorPenalty: preset(
        percent(),
        defaultLoadSettings.errorPenalty,
        "How much the reported errors count: at 100% an endpoint where each call fails counts as one more endpoint's worth of load.",
      ),
      metrics: preset(
        list(string("the name of a metric", " such as named_metrics.queue")),
        none,
        "Where application_utilization is not reported: metrics to go by instead, the largest of them. Without these, cpu_utilization.",
      ),
    }),
    "How weightedRoundRobin takes the load reports in trailers (endpoint-load-metrics-bin).",
    "the defaults below, with weightedRoundRobin",
  ),
  slowStart: optional(
    object({
      window: preset(duration(), 30_000, "How long it takes."),
      from: preset(percent(), 0.1, "The share of its weight that it has at once."),
      curve: preset(
        words(["linear", "early", "late"]),
        "linear",
        "How the share grows with the part of the window that is over: with it, with its root, or with its square.",
      ),
    }),
    "Endpoints that are new, or back, get their share of calls little by little. The first ones of a service do not.",
  ),
  loadBias: optional(
    object({
      floor: preset(
        percent({ min: 0.01, max: 1 }),
        defaultBias.floor,
        "The share of its weight that an endpoint keeps.",
      ),
      hold: preset(duration(), defaultBias.hold, "For how long it has less, where it does not say when to come again."),
      maxHold: preset(duration({ max: 600_000 }), defaultBias.maxHold, "For how long at most, whatever it says."),
      recovery: preset(duration(), defaultBias.recovery, "How long it takes from nothing to its whole weight again."),
    }),
    "Endpoints that answer RESOURCE_EXHAUSTED, or 429, get fewer calls: half of them, for as long as grpc-retry-pushback-ms or retry-after says, and then more again little by little. They are not ejected for it.",
    "no difference",
  ),
  zones: optional(
    object({
      prefer: preset(words(["own"]), "own", "Endpoints of the sidecar's own zone go first."),
      own: optional(string("a zone"), "The sidecar's own zone.", "service.meta.zone"),
    }),
    "Which zone's endpoints go first. An endpoint says its zone by its meta.",
  ),
  priorities: preset(
    list(meta),
    none,
    "Endpoints whose meta has all of the first item go first, then those with all of the second, and so on; others last.",
  ),
  spillBelow: preset(
    percent(),
    levels.spillBelow,
    "With zones or priorities: while this share of the endpoints that go first is usable they take all calls; below that less in proportion, and the rest goes to the next.",
  ),
  spillAbove: optional(
    integer({ min: 1, max: 100_000 }),
    "With zones or priorities: where the endpoint that a call would go to has so many calls of this sidecar under way, the call goes to the next zone or priority, if that has fewer.",
  ),
  subsets: optional(
    object({
      match: preset(meta, new Map<string, string>(), "Meta that an endpoint has to have to get any call."),
      byMetadata: preset(
        record(metadataName, string("a key of the endpoints' meta")),
        new Map<string, string>(),
        "Which metadata of a call has to be equal to which meta of the endpoint. A call without it may go to any.",
      ),
      otherwise: preset(
        words(["refuse", "any"]),
        "refuse",
        "What becomes of a call for which there is no endpoint: NO_MATCHING_SUBSET, or any endpoint.",
      ),
    }),
    "Which endpoints a call may go to, by their meta.",
  ),
  affinity: optional(
    object({
      metadata: optional(
        metadata,
        "A field that the sidecar adds to the head of an answer, and that keeps a caller who sends it back at the same endpoint for as long as that gets calls.",
      ),
      cookie: optional(cookieName, "A cookie instead, for callers who keep cookies."),
      maxAge: optional(duration(), "How long callers keep the cookie.", "until they end"),
    }),
    "Session affinity.",
  ),
  panicThreshold: preset(
    percent(),
    panicThreshold,
    "Where less than this share of the endpoints that take connections is neither ejected nor unhealthy, all of them get calls. 0%: never, and calls are refused with ALL_EJECTED where there is none.",
  ),
};
