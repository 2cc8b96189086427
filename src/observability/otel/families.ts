import { statusName } from "../../http/reason.ts";
import type { Wall } from "../durations.ts";
import { familyHead, formatLabels } from "../exposition.ts";
import type { MethodSeries } from "../method-series.ts";
import type { UpstreamSeries } from "../upstream-series.ts";
import type { Ended, MethodMeter } from "./method-meter.ts";

/** Which end of a call is measured. */
export type Side = "server" | "client";

type Labels = Readonly<Record<string, string>>;

/** One method of an upstream, and the labels by which the conventions know it. */
interface Method {
  readonly series: MethodSeries;
  readonly rpc: Labels;
  readonly grpc: Labels;
  readonly http: Labels;
}

/** What counts as an error of a server in the semantic conventions; to a client every status but OK is one. */
const serverErrors: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

function rpcError(side: Side, status: string): Labels {
  const isError = side === "client" ? status !== "OK" : serverErrors.has(status);
  return isError ? { error_type: status } : {};
}

/** `status`: of an answer in HTTP/1.1, 0 where there was none. */
function httpStatus(side: Side, status: number): Labels {
  if (status === 0) return { error_type: "_OTHER" };
  const code = String(status);
  const isError = status >= (side === "client" ? 400 : 500);
  return { http_response_status_code: code, ...(isError ? { error_type: code } : {}) };
}

/**
 * The families of OpenTelemetry's semantic conventions for RPC and HTTP and of gRPC's own metrics (gRFC A66, A96) of one side, under
 * the names that OpenTelemetry has for Prometheus.
 */
export function renderOtel(side: Side, upstreams: Iterable<UpstreamSeries>, wall: Wall | undefined): string {
  const grpc: Method[] = [];
  const http: Method[] = [];
  for (const { upstream, all } of [...upstreams].map((one) => ({ upstream: one.upstream, all: one.all() })))
    for (const series of all) {
      const method = describe(side, upstream, series);
      if (series.protocol === "grpc") grpc.push(method);
      else if (series.protocol === "http1") http.push(method);
    }
  return [...callDurations(side, grpc, wall), ...grpcFamilies(side, grpc), ...httpFamilies(side, http, wall)].join(
    "\n",
  );
}

function describe(side: Side, upstream: string, series: MethodSeries): Method {
  const isClient = side === "client";
  const { method } = series;
  const verb = method.slice(method.indexOf("/") + 1);
  const server = isClient ? { server_address: upstream } : {};
  return {
    series,
    rpc: { rpc_system_name: "grpc", rpc_method: method, ...server },
    grpc: { grpc_method: method, ...(isClient ? { grpc_target: upstream } : {}) },
    http: { http_request_method: verb === "other" ? "_OTHER" : verb, url_scheme: "http", ...server },
  };
}

/** Counted always, by status. */
function callDurations(side: Side, methods: readonly Method[], wall: Wall | undefined): string[] {
  const rpcName = `rpc_${side}_call_duration_seconds`;
  const grpcName = `grpc_${side}_call_duration_seconds`;
  const help = "Time from a call's head to its end.";
  let rpcText = familyHead(rpcName, "histogram", help);
  let grpcText = familyHead(grpcName, "histogram", help);
  for (const { series, rpc, grpc } of methods) {
    const rpcLabels = (status: string): Labels => ({
      ...rpc,
      rpc_response_status_code: status,
      ...rpcError(side, status),
    });
    rpcText += series.renderByStatus(rpcName, rpcLabels, wall);
    grpcText += series.renderByStatus(grpcName, (grpc_status) => ({ ...grpc, grpc_status }), wall);
  }
  return [rpcText, grpcText];
}

function grpcFamilies(side: Side, methods: readonly Method[]): string[] {
  const per = (name: string, type: "counter" | "histogram", help: string, of: Rendering): string =>
    family(name, type, help, methods, ({ grpc }) => grpc, of);
  const byStatus =
    (all: (meter: MethodMeter) => ReadonlyMap<number, Ended>, of: (ended: Ended) => Drawing): Rendering =>
    (name, meter, labels) => {
      let text = "";
      for (const [status, ended] of all(meter))
        text += of(ended)(name, formatLabels({ ...labels, grpc_status: statusName(status) }));
      return text;
    };
  const sent =
    (ended: Ended): Drawing =>
    (name, series) =>
      ended.sent.render(name, series);
  const received =
    (ended: Ended): Drawing =>
    (name, series) =>
      ended.received.render(name, series);
  const times =
    (ended: Ended): Drawing =>
    (name, series) =>
      ended.durations.render(name, series);
  const size = "total_compressed_message_size_bytes";
  if (side === "server") {
    const calls = (meter: MethodMeter) => meter.calls;
    const started: Rendering = (name, meter, labels) => `${name}{${formatLabels(labels)}} ${meter.started}\n`;
    return [
      per("grpc_server_call_started_total", "counter", "Calls that have begun.", started),
      per(`grpc_server_call_sent_${size}`, "histogram", "Octets of messages of an answer.", byStatus(calls, sent)),
      per(`grpc_server_call_rcvd_${size}`, "histogram", "Octets of messages of a request.", byStatus(calls, received)),
    ];
  }
  const attempts = (meter: MethodMeter) => meter.attempts;
  const started: Rendering = (name, meter, labels) => `${name}{${formatLabels(labels)}} ${meter.attemptsStarted}\n`;
  const counts = (
    [
      ["retries", "Attempts that followed one that had failed, of calls that had some.", "retries"],
      ["transparent_retries", "Attempts after one that was not processed, of calls that had some.", "transparent"],
      ["hedges", "Attempts beside others, of calls that had some.", "hedges"],
      [
        "retry_delay_seconds",
        "Time in which a call had no attempt under way, of calls that were made again.",
        "delays",
      ],
    ] as const
  ).map(([name, help, of]) =>
    per(`grpc_client_call_${name}`, "histogram", help, (full, meter, labels) =>
      meter[of].render(full, formatLabels(labels)),
    ),
  );
  return [
    per("grpc_client_attempt_started_total", "counter", "Attempts that have left.", started),
    per("grpc_client_attempt_duration_seconds", "histogram", "How long attempts took.", byStatus(attempts, times)),
    per(`grpc_client_attempt_sent_${size}`, "histogram", "Octets of messages of a request.", byStatus(attempts, sent)),
    per(
      `grpc_client_attempt_rcvd_${size}`,
      "histogram",
      "Octets of messages of an answer.",
      byStatus(attempts, received),
    ),
    ...counts,
  ];
}

function httpFamilies(side: Side, methods: readonly Method[], wall: Wall | undefined): string[] {
  const per = (name: string, type: "gauge" | "histogram", help: string, of: Rendering): string =>
    family(`http_${side}_${name}`, type, help, methods, ({ http }) => http, of);
  const byStatus =
    (of: (ended: Ended, name: string, series: string) => string): Rendering =>
    (name, { calls }, labels) => {
      let text = "";
      for (const [status, ended] of calls)
        text += of(ended, name, formatLabels({ ...labels, ...httpStatus(side, status) }));
      return text;
    };
  const active: Rendering = (name, { started, over }, labels) => `${name}{${formatLabels(labels)}} ${started - over}\n`;
  return [
    per("active_requests", "gauge", "Requests of HTTP/1.1 that are under way.", active),
    per(
      "request_duration_seconds",
      "histogram",
      "Time from the head of a request to the end of its answer.",
      byStatus(({ durations }, name, series) => durations.render(name, series, wall)),
    ),
    per(
      "request_body_size_bytes",
      "histogram",
      "Octets of bodies of requests.",
      byStatus(({ received }, name, series) => received.render(name, series)),
    ),
    per(
      "response_body_size_bytes",
      "histogram",
      "Octets of bodies of answers.",
      byStatus(({ sent }, name, series) => sent.render(name, series)),
    ),
  ];
}

/** Lines of a method in a family. */
type Rendering = (name: string, meter: MethodMeter, labels: Labels) => string;
type Drawing = (name: string, series: string) => string;

function family(
  name: string,
  type: "counter" | "gauge" | "histogram",
  help: string,
  methods: readonly Method[],
  labelsOf: (method: Method) => Labels,
  of: Rendering,
): string {
  let text = familyHead(name, type, help);
  for (const method of methods)
    if (method.series.meter !== undefined) text += of(name, method.series.meter, labelsOf(method));
  return text;
}
