import { type KeyRule, list, record } from "../schema/collections.ts";
import { advertisedAddress, dialAddress, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string } from "../schema/text.ts";
import { optional, preset, required } from "../schema/type.ts";
import { words } from "../schema/words.ts";
import { adaptiveConcurrency } from "./adaptive-concurrency.ts";
import { bandwidth } from "./bandwidth.ts";
import { none } from "./defaults.ts";
import { urlPath } from "./health.ts";
import { protocols, serviceIdleTimeout } from "./protocol.ts";

const metaKey: KeyRule = {
  placeholder: "KEY",
  label: 'letters, digits, "-" and "_", at most 128',
  pattern: "^[A-Za-z0-9_-]{1,128}$",
  parse(key) {
    if (key === "outrigger" || key === "mtls") return refused(`the key "${key}" is set by the sidecar itself`);
    return /^[A-Za-z0-9_-]{1,128}$/.test(key) ? parsed(key) : refused(`${quote(key)} cannot be a key of meta`);
  },
};

/** `service` */
export const service = object({
  name: required(serviceName(), "What others call it by."),
  id: optional(
    string("an id"),
    "The instance among those of its name; it survives a restart.",
    "NAME-HOST-PORT of what is advertised",
  ),
  address: required(dialAddress(), "Where it takes plain connections."),
  protocol: preset(
    words(protocols),
    "grpc",
    "What it speaks: gRPC, other HTTP/2, HTTP/1.1 with WebSocket, or anything else over TCP.",
  ),
  idleTimeout: serviceIdleTimeout,
  health: optional(
    words(["grpc", "http", "tcp", "none"]),
    "How the sidecar asks it every 5s whether it serves: grpc.health.v1, GET of healthPath in HTTP/1.1, a TCP connection, or not at all.",
    "grpc, or tcp where protocol is http1 or tcp",
  ),
  healthPath: optional(urlPath, "What is asked for with health: http.", "/"),
  advertise: optional(
    advertisedAddress(),
    "What others dial. Loopback only where the discovery source is on loopback.",
    "the inbound host unless a wildcard, else the variable POD_IP, else the source address of the route to the discovery source; the inbound port",
  ),
  tags: preset(list(string("a tag")), none, "Published with it."),
  meta: preset(record(metaKey, string("a string")), new Map<string, string>(), "Published with it."),
  bandwidth: optional(
    bandwidth,
    "How many octets of calls of others may pass in a second: see [overload.md](overload.md#bandwidth).",
    "all",
  ),
  adaptiveConcurrency: optional(
    adaptiveConcurrency,
    "How many inbound calls may be under way at once, learned from their latency.",
    "no such limit",
  ),
});
