import { isIP } from "node:net";

/** The version of the Elastic Common Schema whose names are used. */
const ECS_VERSION = "8.17";

type Fields = Record<string, unknown>;

/** Fields that have another name there, as paths. What is not listed stands below `outrigger`. */
const NAMES: Readonly<Record<string, string>> = {
  time: "@timestamp",
  level: "log.level",
  msg: "message",
  service: "service.name",
  version: "service.version",
  trace_id: "trace.id",
  request_id: "http.request.id",
  bytes_received: "http.request.body.bytes",
  bytes_sent: "http.response.body.bytes",
  authority: "url.domain",
  http_method: "http.request.method",
  http_status: "http.response.status_code",
};

/**
 * A line of the log in the names of the Elastic Common Schema. Addresses become `source` and `destination`, an error `error`, and
 * a call has `event.outcome` and its duration in nanoseconds.
 */
export function ecsLine(line: string): string {
  const fields: Fields = JSON.parse(line);
  const call = fields.msg === "call";
  // The time stands first, where people look for it.
  const out: Fields = { "@timestamp": undefined };
  put(out, "ecs.version", ECS_VERSION);
  put(out, "event.dataset", call ? "outrigger.access" : "outrigger.log");
  for (const [name, value] of Object.entries(fields)) {
    const other = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
    if (other !== undefined) put(out, other, value);
    else if (name === "err") putError(out, value);
    else if (name === "peer") putAddress(out, "source", value);
    else if (name === "endpoint") putAddress(out, "destination", value);
    else if (name === "direction") put(out, "network.direction", value === "inbound" ? "ingress" : "egress");
    else put(out, `outrigger.${name}`, value);
  }
  if (call) putCall(out, fields);
  return `${JSON.stringify(out)}\n`;
}

function putCall(out: Fields, { grpc_status, duration_ms, method, protocol }: Fields): void {
  put(out, "event.kind", "event");
  put(out, "event.category", ["network"]);
  put(out, "event.type", ["connection", "protocol"]);
  put(out, "event.outcome", grpc_status === "OK" ? "success" : "failure");
  if (typeof duration_ms === "number") put(out, "event.duration", Math.round(duration_ms * 1e6));
  put(out, "network.transport", "tcp");
  if (protocol === "tcp") return;
  put(out, "network.protocol", protocol === "grpc" ? "grpc" : "http");
  if (typeof method === "string") put(out, "url.path", `/${method}`);
}

/** See `describeError`. What caused it is told in the message's words, for the schema has no place for it. */
function putError(out: Fields, value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const { type, message, code, stack, cause } = value as Fields;
  put(out, "error.type", type);
  put(out, "error.message", message);
  put(out, "error.code", code);
  put(out, "error.stack_trace", stack);
  if (typeof cause === "object" && cause !== null) put(out, "outrigger.cause", String((cause as Fields).message));
}

/** HOST:PORT, [v6]:PORT or a path. `source.ip` is an IP address only, since its type is one. */
function putAddress(out: Fields, side: "source" | "destination", value: unknown): void {
  const text = String(value);
  put(out, `${side}.address`, text);
  const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text);
  if (match === null) return;
  const [, host = "", port] = match;
  if (isIP(host) !== 0) put(out, `${side}.ip`, host);
  put(out, `${side}.port`, Number(port));
}

function put(out: Fields, path: string, value: unknown): void {
  if (value === undefined || value === null) return;
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at = out;
  for (const name of names) {
    const below = at[name];
    const next: Fields = typeof below === "object" && below !== null ? (below as Fields) : {};
    at[name] = next;
    at = next;
  }
  at[last] = value;
}
