/**
 * Writes docs/metrics.md from what a sidecar really offers: `node deploy/metrics-reference.ts`.
 */
import { writeFile } from "node:fs/promises";
import { loadConfig } from "../src/config/load.ts";
import { systemClock } from "../src/core/clock.ts";
import { createLog } from "../src/observability/log.ts";
import { Runtime } from "../src/runtime/runtime.ts";
import { makeServices } from "../src/runtime/services.ts";
import { registerCrewMetrics } from "../src/workers/crew-metrics.ts";

const introduction = `# Metrics

<!-- Written by \`node deploy/metrics-reference.ts\` from what a sidecar offers: change the code, not this file. -->

\`GET /metrics\` on the probe port (15021, for Prometheus) and on the admin listener: Prometheus' text format, or OpenMetrics with
exemplars for those who ask for it, as Prometheus does. An exemplar of \`outrigger_call_duration_seconds\` is the trace id of a call in
that bucket, where calls are traced. Rules for alerts and recording are in \`deploy/prometheus/\`, dashboards in \`deploy/grafana/\`.

A method has a label of its own once the application has answered a call of it with something else than UNIMPLEMENTED, 500 of them
at most; the rest is \`other\`. \`upstream\` is the name of a configured or a resolved service, never what a caller wrote. \`grpc_status\` and
\`reason\` are closed sets ([reasons.md](reasons.md)); \`origin\` says who made the answer: \`app\`, \`proxy\` or \`peer\`, another sidecar.

\`metrics.names: otel\` adds the names of OpenTelemetry and gRPC, see [below](#names-of-opentelemetry-and-grpc).
\`metrics.application\` appends the application's own metrics; a family that both have becomes \`application_…\` for the application.

| family | type | labels | is |
| --- | --- | --- | --- |
`;

const otel = `
## Names of OpenTelemetry and gRPC

With \`metrics.names: otel\`, besides the above: those of OpenTelemetry's semantic conventions for RPC and for HTTP (requests of HTTP/1.1), and
of gRPC's own metrics (gRFC A66; of retries, A96), under the names that OpenTelemetry has for Prometheus. What gRPC's libraries count that a
proxy has not got, such as its load balancers' inner states, is not there; our own families say the same of ours.

- The target and the server's address are the upstream's name; there is no port, for it has several.
- A size is that of DATA: of each message five octets more than gRPC counts, its prefix.
- \`grpc_client_attempt_*\` has an attempt from when it had its connection on; a call that is waiting for one has none yet.
- A call is counted where its method stood when it began: the first one of a method, which has no label yet, under \`other\`. The two
  \`call_duration_seconds\` count by what a call was in the end, as \`outrigger_calls_handled_total\` does.
- Without \`otel\` none of it is counted, but for those two; calls that began before it was set are not in it.

| family | type | labels | is |
| --- | --- | --- | --- |
`;

/** A family: name, type, labels, help. */
type Row = readonly [string, string, string, string];

/** The families of a sidecar with everything that counts, and those of `names: otel`. */
async function families(): Promise<{ readonly own: readonly Row[]; readonly more: readonly Row[] }> {
  const any = "127.0.0.1:0";
  const text = JSON.stringify({
    service: { name: "reference", address: "127.0.0.1:1", health: "none" },
    listeners: { inbound: any, outbound: any, admin: any, probe: any },
  });
  const loaded = loadConfig(text, { file: "reference.yaml", env: {} });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues));
  const { config } = loaded;
  const log = createLog({ service: "r", version: "0", level: "silent", clock: systemClock, sink: { write() {} } });
  const services = makeServices(systemClock, log, config, "0");
  const runtime = new Runtime({ config, services, version: "0", podIp: undefined, otherListeners: () => [] });
  registerCrewMetrics(services.metrics.registry, { size: 2, restarts: 0 });
  const labels = new Map(
    services.metrics.registry
      .getMetricsAsArray()
      .map((metric): [string, readonly string[]] => [
        metric.name,
        "labelNames" in metric && Array.isArray(metric.labelNames) ? metric.labelNames : [],
      ]),
  );
  const calls = ["direction", "upstream", "method"];
  labels.set("outrigger_calls_handled_total", [...calls, "grpc_status", "reason", "origin"]);
  labels.set("outrigger_call_duration_seconds", calls);
  const own = rows((await services.metrics.scrape()).text, labels);
  services.metrics.options = { names: "otel", application: undefined };
  const all = rows((await services.metrics.scrape()).text, labels);
  await runtime.stop();
  const known = new Set(own.map(([name]) => name));
  return { own, more: all.filter(([name]) => !known.has(name)) };
}

function rows(scraped: string, labels: ReadonlyMap<string, readonly string[]>): Row[] {
  const help = new Map(
    [...scraped.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = "", words = ""]) => [name, words]),
  );
  return [...scraped.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name = "", type = ""]): Row => {
      const has = labels.get(name) ?? conventional(name);
      return [name, type, has.join(", "), help.get(name) ?? ""];
    })
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** The labels of a family of OpenTelemetry or gRPC; none where it is another's. */
function conventional(name: string): string[] {
  const [kind = "", side] = name.split("_", 2);
  const server = side === "client" ? ["server_address"] : [];
  if (kind === "rpc") return ["rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type", ...server];
  if (kind === "http") {
    const outcome = name.includes("active") ? [] : ["http_response_status_code", "error_type"];
    return ["http_request_method", "url_scheme", ...outcome, ...server];
  }
  if (kind !== "grpc") return [];
  const isByStatus = /_(duration_seconds|size_bytes)$/.test(name);
  return ["grpc_method", ...(side === "client" ? ["grpc_target"] : []), ...(isByStatus ? ["grpc_status"] : [])];
}

/** The text of `docs/metrics.md`: every metric of a sidecar that is started for it. */
export async function metricsReference(): Promise<string> {
  const { own, more } = await families();
  return `${introduction}${table(own)}${otel}${table(more)}`;
}

function table(all: readonly Row[]): string {
  return all
    .map(([name, type, labels, help]) => `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll("|", "\\|")} |\n`)
    .join("");
}

if (import.meta.main) {
  await writeFile(new URL("../docs/metrics.md", import.meta.url), await metricsReference());
  process.exit(0);
}
