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

\`metrics.names: otel\` adds \`rpc_server_call_duration_seconds\` and \`rpc_client_call_duration_seconds\` of OpenTelemetry's semantic conventions
and \`grpc_server_call_duration_seconds\` and \`grpc_client_call_duration_seconds\` of gRPC (gRFC A66), with their labels, that for the status among them.
\`metrics.application\` appends the application's own metrics; a family that both have becomes \`application_…\` for the application.

| family | type | labels | is |
| --- | --- | --- | --- |
`;

/** The families of a sidecar with everything that counts: name, type, labels, help. */
async function families(): Promise<readonly (readonly [string, string, string, string])[]> {
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
  const scraped = (await services.metrics.scrape()).text;
  await runtime.stop();
  const help = new Map(
    [...scraped.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = "", words = ""]) => [name, words]),
  );
  return [...scraped.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name = "", type = ""]) => [name, type, (labels.get(name) ?? []).join(", "), help.get(name) ?? ""] as const)
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** The text of `docs/metrics.md`: every metric of a sidecar that is started for it. */
export async function metricsReference(): Promise<string> {
  const rows = (await families()).map(
    ([name, type, labels, help]) => `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll("|", "\\|")} |`,
  );
  return `${introduction}${rows.join("\n")}\n`;
}

if (import.meta.main) {
  await writeFile(new URL("../docs/metrics.md", import.meta.url), await metricsReference());
  process.exit(0);
}
