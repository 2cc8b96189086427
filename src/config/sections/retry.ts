import { statusWords } from "../../http/status-words.ts";
import { methodPattern } from "../schema/calls.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { string } from "../schema/text.ts";
import { optional, preset, section } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

/** `upstreams.NAME.retry` */
export const retry = object({
  attempts: preset(integer({ min: 2, max: 10 }), 3, "How often a call is made at most, the first time included."),
  budget: preset(
    percent(),
    0.5,
    "Further attempts per call over the last 10s, of all calls of the upstream; 100 are allowed in any case.",
  ),
  statuses: preset(
    list(words(statusWords)),
    ["unavailable"],
    "After these gRPC statuses a call is made again, also where they come in trailers, as long as the caller has nothing of the answer.",
  ),
  perTryTimeout: optional(
    duration(),
    "Within this much an attempt has to bring its first message, or its end where `descriptors` say that the message is the only one; then it is given up for another.",
  ),
  hedgeAfter: optional(
    duration(),
    "Without an answer after this much another attempt is made beside the first, and the first answer counts.",
  ),
  backoff: section(
    object({
      base: preset(duration(), 25, "The pause before the first further attempt is at most this; it doubles with each."),
      max: preset(duration(), 250, "No pause is longer, unless the server asks for it."),
    }),
    "Pauses between attempts, each of a random length. A server's grpc-retry-pushback-ms goes first.",
  ),
  idempotentMethods: preset(
    list(methodPattern()),
    none,
    "Methods that do no harm when they run more than once; no other is ever made again after it may have run.",
  ),
  descriptors: optional(
    string("a file", ", or reflection"),
    "Methods with an idempotency_level are idempotent as well: by a FileDescriptorSet (protoc --descriptor_set_out, buf build), or by reflection, which asks the upstream when a service of it is first called and every 10 minutes after that.",
  ),
});
