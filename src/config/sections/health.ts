import { countableStatuses, defaultOutlierSettings } from "../../cluster/health/settings.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string, text } from "../schema/text.ts";
import { optional, preset, required, section } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";

/** A path of a URL. */
export const urlPath = text({
  noun: "a path",
  label: "a path such as /healthz",
  pattern: "^/",
  parse: (written) =>
    /^\/[\x21-\x7e]*$/.test(written)
      ? parsed(written)
      : refused(`${quote(written)} is not a path`, /^[a-z]/i.test(written) ? `/${written}` : undefined),
  write: (value) => value,
});

const count = integer({ min: 1, max: 1_000_000 });
const usual = defaultOutlierSettings;

/** Keys of an upstream: what takes one of its endpoints out. */
export const health = {
  outlierDetection: section(
    object({
      mode: preset(words(["eject", "disabled"]), usual.mode, "Whether endpoints whose calls fail are taken out."),
      consecutiveFailures: preset(count, usual.consecutiveFailures, "Failures in a row after which one is."),
      baseEjection: preset(
        duration(),
        usual.baseEjection,
        "For how long, times how often in a row; then one call at a time is let through, and decides.",
      ),
      maxEjection: preset(duration(), usual.maxEjection, "The longest."),
      maxEjected: preset(
        percent(),
        usual.maxEjected,
        "The most that may be out of the endpoints that accept connections, rounded down, but always one where there are two.",
      ),
      statuses: preset(
        list(words(countableStatuses)),
        usual.statuses,
        "Statuses of the application that count as failures. Those that a caller brings about, such as PERMISSION_DENIED, cannot.",
      ),
      timeouts: preset(
        words(["counted", "ignored"]),
        usual.timeouts,
        "Whether it counts when nothing of an answer came before the deadline, and the endpoint had at least 100ms.",
      ),
      interval: preset(duration(), usual.interval, "How often failurePercentage and successRate are looked at."),
      failurePercentage: optional(
        object({
          threshold: preset(percent(), 0.85, "The share of failed calls in an interval that takes an endpoint out."),
          minimumCalls: preset(count, 50, "With fewer calls in the interval it is not judged."),
          minimumEndpoints: preset(count, 5, "With fewer endpoints that have so many calls nobody is."),
        }),
        "Take out who fails too often, in a row or not.",
      ),
      successRate: optional(
        object({
          deviations: preset(
            integer({ min: 1, max: 10 }),
            2,
            "Standard deviations that an endpoint's share of good answers may lie below the mean of all.",
          ),
          minimumCalls: preset(count, 100, "With fewer calls in the interval an endpoint is not judged."),
          minimumEndpoints: preset(count, 5, "With fewer endpoints that have so many calls nobody is."),
        }),
        "Take out who fails more often than the others.",
      ),
    }),
    "Takes endpoints out by how calls to them end.",
  ),
  healthCheck: optional(
    object({
      kind: required(
        words(["grpc", "http", "tcp"]),
        "By grpc.health.v1, by GET where a status of 2xx is healthy, or by a TCP connection.",
      ),
      service: optional(string("the name of a service"), "Which service, with grpc.", "the server as a whole"),
      path: optional(urlPath, "What is asked for, with http.", "/"),
      port: optional(
        integer({ min: 1, max: 65_535 }),
        "With http and tcp, another port of the endpoint's host, spoken to in HTTP/1.1.",
        "the endpoint's own connections, in HTTP/2; for tcp its own port",
      ),
      interval: preset(duration(), 5000, "How often."),
      timeout: preset(duration(), 1000, "For an answer."),
      jitter: preset(percent(), 0.1, "How much an interval may be longer or shorter than that."),
      unhealthyAfter: preset(count, 3, "Failed checks in a row until an endpoint gets no calls."),
      healthyAfter: preset(count, 2, "Passed checks in a row until it gets them again."),
    }),
    "Asks every endpoint whether it serves. The first answer decides by itself; until then an endpoint gets calls.",
  ),
};
