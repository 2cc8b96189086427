import { statusWords } from "../../http/status-words.ts";
import { fieldNamePattern, fieldNameType, metadataName, methodPattern } from "../schema/calls.ts";
import { list, record } from "../schema/collections.ts";
import { dialAddress, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { secret, string } from "../schema/text.ts";
import { optional, preset, section } from "../schema/type.ts";
import { duration } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

const nothing = new Map<string, string>();

/** `authorization.external` */
export const externalAuthorization = object({
  upstream: optional(
    serviceName(),
    "The declared upstream that the service is: found, balanced and reached as for calls of the application.",
    "it has an address",
  ),
  address: optional(dialAddress(), "The service's plain gRPC server.", "it is an upstream"),
  timeout: preset(
    duration({ max: 60_000 }),
    200,
    "Within this much it has to answer. A call waits no longer than its own deadline.",
  ),
  onFailure: preset(
    words(["deny", "allow"]),
    "deny",
    "What becomes of calls while it does not answer, answers with an error, or with what is no answer.",
  ),
  failureStatus: preset(
    words(statusWords),
    "permissionDenied",
    "The gRPC status of calls that are denied for that (AUTHZ_UNAVAILABLE).",
  ),
  mode: preset(
    words(["enforce", "shadow"]),
    "enforce",
    "In shadow calls do not wait for it and nothing is changed; what would be denied is counted and logged.",
  ),
  match: section(
    object({
      methods: preset(
        list(methodPattern()),
        ["*"],
        "Methods; health checks (grpc.health.v1.Health) are not among `*`: they are meant only where they are named.",
      ),
      metadata: preset(
        record(metadataName, string("a value", ', or "*" for any')),
        nothing,
        "Fields that the call has to have, each with its value.",
      ),
    }),
    "Which calls it is asked about.",
  ),
  show: preset(
    list(fieldNamePattern()),
    ["*"],
    "Fields of the call that it is shown; `*` at the end of one for all that begin so. What the call is for is shown always.",
  ),
  reserved: preset(
    list(fieldNameType()),
    none,
    "Fields that it alone may give a call: what callers send of them is taken away, whether or not it is asked.",
  ),
  context: preset(record(metadataName, string("a value")), nothing, "Told with each question, as context_extensions."),
  metadata: preset(
    record(metadataName, secret("a value", "field")),
    nothing,
    "Fields of each question, such as a token by which the service knows this sidecar.",
  ),
});
