import { type KeyRule, record } from "../schema/collections.ts";
import { httpUrl } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { secret } from "../schema/text.ts";
import { optional, preset, required } from "../schema/type.ts";
import { percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";

const headerName: KeyRule = {
  placeholder: "NAME",
  label: "the name of a field in lower case",
  pattern: "^[a-z0-9_.-]+$",
  parse(key) {
    if (/^[a-z0-9_.-]+$/.test(key)) return parsed(key);
    return refused(`${quote(key)} is no name of a field`, key.toLowerCase());
  },
};

/** `tracing` */
export const tracing = object({
  otlp: required(httpUrl("path"), "The collector that takes spans."),
  protocol: optional(
    words(["grpc", "http"]),
    "How it is spoken to: OTLP over gRPC, or protobuf over HTTP.",
    "http where the port is 4318 or the URL has a path, else grpc",
  ),
  sampling: preset(
    percent(),
    0.01,
    "Share of the traces that begin here which are recorded. Of a trace that comes in its sender decided.",
  ),
  errors: preset(
    words(["sampled", "always"]),
    "sampled",
    "Whether the span of a call that failed is exported although its trace is not recorded.",
  ),
  correlate: preset(
    words(["none", "singleFlight"]),
    "none",
    "What becomes of calls of an application that passes no context on. singleFlight: they belong to the traced call that it " +
      "has under way, where that is the only one.",
  ),
  headers: preset(record(headerName, secret("a value", "field")), new Map(), "Fields of each export, such as a token."),
});
