import { metadataName, methodPattern } from "../schema/calls.ts";
import { record } from "../schema/collections.ts";
import { serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { string } from "../schema/text.ts";
import { optional, preset } from "../schema/type.ts";

/** Which calls a policy is for. */
export const match = object({
  method: preset(
    methodPattern(),
    "*",
    "Health checks (grpc.health.v1.Health) are not among `*`: they are meant only where they are named.",
  ),
  upstream: optional(serviceName(), "Outbound only.", "all"),
  metadata: preset(
    record(metadataName, string("a value", ', or "*" for any')),
    new Map<string, string>(),
    "Fields that the call has to have, each with its value.",
  ),
});
