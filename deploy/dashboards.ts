/**
 * Writes the dashboards of deploy/grafana: `node deploy/dashboards.ts`. A panel is a question that an operator asks; a test has a
 * real Prometheus answer each of them.
 */
import { writeFile } from "node:fs/promises";

interface Panel {
  readonly question: string;
  /** What the answer means and what to do about it. */
  readonly about: string;
  /** PromQL by legend. */
  readonly queries: Readonly<Record<string, string>>;
  readonly unit: "reqps" | "percentunit" | "s" | "short" | "bytes" | "Bps";
  readonly kind?: "timeseries" | "stat" | "table";
  /** In halves of the width; 1 by default. */
  readonly width?: 1 | 2;
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
}

const BAD = 'grpc_status=~"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS"';
const where = 'job=~"$job",instance=~"$instance"';
const calls = (more = ""): string => `outrigger_calls_handled_total{${where}${more}}`;
const buckets = `outrigger_call_duration_seconds_bucket{${where}}`;

/** Something that never happened has no series: then it is nothing, and not unknown. */
const orZero = (query: string): string => `${query} or vector(0)`;

/** The dashboards by the names of their files in `deploy/grafana`. */
export const dashboards: Readonly<Record<string, Dashboard>> = {
  "service-overview": {
    uid: "outrigger-services",
    title: "Outrigger: services",
    panels: [
      {
        question: "How many calls are made, and to whom?",
        about: "Calls that ended, by direction and upstream.",
        queries: { "{{direction}} {{upstream}}": `sum by (direction, upstream) (rate(${calls()}[$__rate_interval]))` },
        unit: "reqps",
      },
      {
        question: "Which share of them fails?",
        about: "UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS; other statuses are answers.",
        queries: {
          "{{direction}} {{upstream}}": `(sum by (direction, upstream) (rate(${calls(`,${BAD}`)}[$__rate_interval])) or 0 * sum by (direction, upstream) (rate(${calls()}[$__rate_interval]))) / sum by (direction, upstream) (rate(${calls()}[$__rate_interval]))`,
        },
        unit: "percentunit",
      },
      {
        question: "Why do they fail, and who says so?",
        about: "The reason is the sidecar's (docs/reasons.md); with origin app the application itself answered so.",
        queries: {
          "{{upstream}} {{grpc_status}} {{reason}} ({{origin}})": orZero(
            `sum by (upstream, grpc_status, reason, origin) (rate(${calls(',grpc_status!="OK"')}[$__rate_interval])) > 0`,
          ),
        },
        unit: "reqps",
        width: 2,
      },
      {
        question: "How long do calls take?",
        about: "Half of them are faster than p50; p99 is what one in a hundred waits for. Exemplars lead to traces.",
        queries: {
          "p50 {{direction}} {{upstream}}": `histogram_quantile(0.5, sum by (direction, upstream, le) (rate(${buckets}[$__rate_interval])))`,
          "p99 {{direction}} {{upstream}}": `histogram_quantile(0.99, sum by (direction, upstream, le) (rate(${buckets}[$__rate_interval])))`,
        },
        unit: "s",
      },
      {
        question: "Which methods are slow?",
        about: "p99 by method, the ten slowest.",
        queries: {
          "{{upstream}} {{method}}": `topk(10, histogram_quantile(0.99, sum by (upstream, method, le) (rate(${buckets}[$__rate_interval]))))`,
        },
        unit: "s",
      },
      {
        question: "How many instances does each service have, and in which state?",
        about: "What is not up gets no calls: /clusters says of each why.",
        queries: {
          "{{upstream}} {{state}}": `max by (upstream, state) (outrigger_endpoints{${where}})`,
        },
        unit: "short",
      },
      {
        question: "How many calls are made again, and why are others not?",
        about: "Retries hide an outage and add to it; a refused one met its budget or was not safe.",
        queries: {
          "{{upstream}} {{kind}}": orZero(
            `sum by (upstream, kind) (rate(outrigger_retries_total{${where}}[$__rate_interval]))`,
          ),
          "{{upstream}} not: {{why}}": orZero(
            `sum by (upstream, why) (rate(outrigger_retries_refused_total{${where}}[$__rate_interval]))`,
          ),
        },
        unit: "reqps",
      },
      {
        question: "Is anybody limited?",
        about: "Calls that a rate limit or a learned limit refused.",
        queries: {
          "limit {{limit}}": orZero(`sum by (limit) (rate(outrigger_rate_limited_total{${where}}[$__rate_interval]))`),
          "learned {{upstream}}": orZero(
            `sum by (upstream) (rate(outrigger_concurrency_refused_total{${where}}[$__rate_interval]))`,
          ),
        },
        unit: "reqps",
      },
      {
        question: "Is a circuit breaker open?",
        about: "0: closed, 1: half open, 2: open. What it refuses fails with CIRCUIT_OPEN.",
        queries: {
          "{{upstream}} {{method}}": orZero(`max by (upstream, method) (outrigger_circuit_breaker_state{${where}})`),
        },
        unit: "short",
      },
      {
        question: "How much data flows?",
        about: "Octets of bodies, received from callers and sent to them.",
        queries: {
          "{{direction}} {{upstream}} {{way}}": `sum by (direction, upstream, way) (rate(outrigger_bytes_total{${where}}[$__rate_interval]))`,
        },
        unit: "Bps",
      },
    ],
  },
  "sidecar-health": {
    uid: "outrigger-sidecars",
    title: "Outrigger: sidecars",
    panels: [
      {
        question: "Which sidecars are there, and of which version?",
        about: "One line each.",
        queries: { "{{instance}} {{version}}": `outrigger_build_info{${where}}` },
        unit: "short",
        kind: "table",
      },
      {
        question: "Is any of them without its last configuration?",
        about: "0: the file is broken, and the configuration before it is in force.",
        queries: { "{{instance}}": `min by (instance) (outrigger_config_last_reload_success{${where}})` },
        unit: "short",
        kind: "stat",
      },
      {
        question: "How busy are they?",
        about: "Share of a core that the event loop is at work. Above 0.9 calls wait for each other.",
        queries: {
          "{{instance}}": `rate(nodejs_eventloop_active_seconds_total{${where}}[$__rate_interval])`,
        },
        unit: "percentunit",
      },
      {
        question: "Does anything block them?",
        about: "How long turns of the event loop were at work: what calls wait for their turn.",
        queries: {
          "{{instance}}, one of a hundred": `outrigger_event_loop_delay_seconds{${where},percentile="99"}`,
          "{{instance}}, the longest": `outrigger_event_loop_delay_seconds{${where},percentile="100"}`,
        },
        unit: "s",
      },
      {
        question: "How much memory do they take?",
        about: "Resident memory and heap.",
        queries: {
          "{{instance}} resident": `process_resident_memory_bytes{${where}}`,
          "{{instance}} heap": `nodejs_heap_size_used_bytes{${where}}`,
        },
        unit: "bytes",
      },
      {
        question: "How much CPU do they take?",
        about: "Seconds of CPU a second, over all threads.",
        queries: { "{{instance}}": `rate(process_cpu_seconds_total{${where}}[$__rate_interval])` },
        unit: "percentunit",
      },
      {
        question: "What do calls wait in?",
        about: "Calls under way, open streams and connections.",
        queries: {
          "calls {{instance}} {{direction}}": `sum by (instance, direction) (outrigger_calls_in_flight{${where}})`,
          "streams {{instance}} {{direction}}": `sum by (instance, direction) (outrigger_streams{${where}})`,
          "connections {{instance}} {{direction}}": `sum by (instance, direction) (outrigger_connections{${where}})`,
        },
        unit: "short",
      },
      {
        question: "Is discovery up to date?",
        about: "Seconds since the source last answered, and how often the instances changed.",
        queries: {
          "age {{instance}} {{upstream}}": `outrigger_discovery_age_seconds{${where}}`,
          "changes {{upstream}}": `sum by (upstream) (increase(outrigger_discovery_changes_total{${where}}[$__rate_interval]))`,
        },
        unit: "s",
      },
      {
        question: "When do certificates end, and do handshakes succeed?",
        about: "Without mTLS there is neither.",
        queries: {
          "{{instance}} ends in": orZero(`min by (instance) (outrigger_tls_certificate_expiry_seconds{${where}})`),
          "{{direction}} {{result}}": orZero(
            `sum by (direction, result) (rate(outrigger_tls_handshakes_total{${where}}[$__rate_interval]))`,
          ),
        },
        unit: "s",
      },
      {
        question: "Are instances taken out as ill?",
        about: "Ejections by cause, and whether so many are ill that health is ignored.",
        queries: {
          "{{upstream}} {{cause}}": orZero(
            `sum by (upstream, cause) (increase(outrigger_ejections_total{${where}}[$__rate_interval]))`,
          ),
          "panic {{upstream}}": orZero(`max by (upstream) (outrigger_upstream_panic{${where}})`),
        },
        unit: "short",
      },
      {
        question: "Do traces arrive, and does the application pass them on?",
        about:
          "Spans by what became of them; the application's own calls during traced ones, with and without a context.",
        queries: {
          "spans {{result}}": `sum by (result) (rate(outrigger_spans_total{${where}}[$__rate_interval]))`,
          "context {{context}}": `sum by (context) (rate(outrigger_trace_context_calls_total{${where}}[$__rate_interval]))`,
        },
        unit: "reqps",
      },
    ],
  },
  slo: {
    uid: "outrigger-slo",
    title: "Outrigger: objectives",
    panels: [
      {
        question: "Which share of calls was good, over the range?",
        about: "The objective is 99.9 %.",
        queries: {
          "{{upstream}}": `1 - (sum by (upstream) (increase(${calls(`,direction="outbound",${BAD}`)}[$__range])) or 0 * sum by (upstream) (increase(${calls(',direction="outbound"')}[$__range]))) / sum by (upstream) (increase(${calls(',direction="outbound"')}[$__range]))`,
        },
        unit: "percentunit",
        kind: "stat",
      },
      {
        question: "How much of the error budget is left, over the range?",
        about: "1: nothing is used, 0: all of it. Below that the objective is missed.",
        queries: {
          "{{upstream}}": `1 - ((sum by (upstream) (increase(${calls(`,direction="outbound",${BAD}`)}[$__range])) or 0 * sum by (upstream) (increase(${calls(',direction="outbound"')}[$__range]))) / sum by (upstream) (increase(${calls(',direction="outbound"')}[$__range]))) / 0.001`,
        },
        unit: "percentunit",
        kind: "stat",
      },
      {
        question: "How fast is the budget burnt?",
        about: "1 uses it up in exactly a month. A page comes at 14.4 over five minutes and an hour, a ticket at 6.",
        queries: {
          "5m {{upstream}}": 'outrigger:bad_calls:ratio_5m{direction="outbound",job=~"$job"} / 0.001',
          "1h {{upstream}}": 'outrigger:bad_calls:ratio_1h{direction="outbound",job=~"$job"} / 0.001',
          "6h {{upstream}}": 'outrigger:bad_calls:ratio_6h{direction="outbound",job=~"$job"} / 0.001',
        },
        unit: "short",
        width: 2,
      },
      {
        question: "Which share of calls is faster than 250 ms?",
        about: "For an objective of latency.",
        queries: {
          "{{upstream}}": `sum by (upstream) (rate(outrigger_call_duration_seconds_bucket{${where},direction="outbound",le="0.25"}[$__rate_interval])) / sum by (upstream) (rate(outrigger_call_duration_seconds_count{${where},direction="outbound"}[$__rate_interval]))`,
        },
        unit: "percentunit",
      },
      {
        question: "Whose calls burn it?",
        about: "Bad calls by method and reason, the ten most.",
        queries: {
          "{{upstream}} {{method}} {{reason}}": orZero(
            `topk(10, sum by (upstream, method, reason) (rate(${calls(`,direction="outbound",${BAD}`)}[$__rate_interval])))`,
          ),
        },
        unit: "reqps",
      },
    ],
  },
};

const datasource = { type: "prometheus", uid: "$datasource" };

/** A dashboard as Grafana imports it. */
export function grafana({ uid, title, panels }: Dashboard): unknown {
  let x = 0;
  let y = 0;
  const placed = panels.map((panel, at) => {
    const width = 12 * (panel.width ?? 1);
    if (x + width > 24) {
      x = 0;
      y += 8;
    }
    const gridPos = { x, y, w: width, h: 8 };
    x += width;
    return grafanaPanel(panel, at + 1, gridPos);
  });
  return {
    uid,
    title,
    tags: ["outrigger"],
    editable: true,
    refresh: "30s",
    schemaVersion: 39,
    time: { from: "now-1h", to: "now" },
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus", label: "Prometheus" },
        variable("job", "label_values(outrigger_build_info, job)"),
        variable("instance", 'label_values(outrigger_build_info{job=~"$job"}, instance)'),
      ],
    },
    panels: placed,
  };
}

function variable(name: string, query: string): unknown {
  return {
    name,
    type: "query",
    datasource,
    query,
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  };
}

function grafanaPanel(
  { question, about, queries, unit, kind = "timeseries" }: Panel,
  id: number,
  gridPos: unknown,
): unknown {
  return {
    id,
    type: kind,
    title: question,
    description: about,
    datasource,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: Object.entries(queries).map(([legendFormat, expr], at) => ({
      refId: String.fromCharCode(65 + at),
      datasource,
      expr,
      legendFormat,
      exemplar: expr.includes("_bucket"),
      instant: kind !== "timeseries",
    })),
  };
}

/** A dashboard as the file that Grafana reads. */
function dashboardText(dashboard: Dashboard): string {
  return `${JSON.stringify(grafana(dashboard), null, 2)}\n`;
}

if (import.meta.main)
  for (const [name, dashboard] of Object.entries(dashboards))
    await writeFile(new URL(`grafana/${name}.json`, import.meta.url), dashboardText(dashboard));
