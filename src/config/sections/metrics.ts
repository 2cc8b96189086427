import { httpUrl } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { words } from "../schema/words.ts";

/** `metrics` */
export const metrics = object({
  names: preset(
    words(["outrigger", "otel"]),
    "outrigger",
    "Names of families. otel: besides our own those of OpenTelemetry's RPC and HTTP metrics and of gRPC.",
  ),
  application: optional(
    httpUrl("path"),
    "Where the application beside this sidecar has its own metrics, in Prometheus' form: they are appended to the sidecar's.",
  ),
});
