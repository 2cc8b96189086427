import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, sumAnswers } from "../../src/workers/sum-answers.ts";
import { sumMetrics } from "../../src/workers/sum-metrics.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";

const control = `# HELP outrigger_calls_started_total Calls.
# TYPE outrigger_calls_started_total counter

# HELP outrigger_config_version Version.
# TYPE outrigger_config_version gauge
outrigger_config_version 3

# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 5
`;

function worker(calls: number, inFlight: number): string {
  return `# HELP outrigger_calls_started_total Calls.
# TYPE outrigger_calls_started_total counter
outrigger_calls_started_total{upstream="a b"} ${calls}

# HELP outrigger_calls_in_flight In flight.
# TYPE outrigger_calls_in_flight gauge
outrigger_calls_in_flight ${inFlight}

# HELP outrigger_config_version Version.
# TYPE outrigger_config_version gauge
outrigger_config_version 3

# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 5

# HELP d Durations.
# TYPE d histogram
d_bucket{le="1"} ${calls}
d_bucket{le="+Inf"} ${calls}
d_sum 0.5
d_count ${calls}
`;
}

test("counters, histograms and what is under way are summed; of other gauges the largest counts; the process counts once", () => {
  const families = parseMetrics(sumMetrics([control, worker(2, 1), worker(40, 5)]));
  const value = (name: string, labels = {}) => sampleValue(families, name, labels);
  assert.equal(value("outrigger_calls_started_total", { upstream: "a b" }), 42);
  assert.equal(value("outrigger_calls_in_flight"), 6);
  assert.equal(value("outrigger_config_version"), 3);
  assert.equal(value("process_cpu_seconds_total"), 5);
  const text = sumMetrics([control, worker(2, 1), worker(40, 5)]);
  assert.match(text, /^d_bucket\{le="\+Inf"\} 42$/m);
  assert.match(text, /^d_sum 1$/m);
  assert.equal(text.match(/^# TYPE d histogram$/gm)?.length, 1);
});

test("connections, streams and whatever else each thread has a part of are summed", () => {
  const text = (value: number): string =>
    ["streams", "inbound_connections", "limit_current", "spans_waiting", "timers"]
      .map(
        (name) => `# HELP outrigger_${name} X.\n# TYPE outrigger_${name} gauge\noutrigger_${name}{of="a"} ${value}\n`,
      )
      .join("");
  const samples = [...parseMetrics(sumMetrics([text(0), text(3), text(4)])).values()].flatMap((one) => one.samples);
  assert.deepEqual(
    samples.map(({ value }) => value),
    [7, 7, 7, 7, 7],
  );
});

test("of the calls by which a bucket is explained the latest of all threads is kept, where they are asked for", () => {
  const bucket = (calls: number, exemplar: string) =>
    `# HELP d Durations.\n# TYPE d histogram\nd_bucket{path="# {x} 1",le="1"} ${calls}${exemplar}\n`;
  const texts = [
    bucket(1, ' # {trace_id="aa"} 0.5 100.001'),
    bucket(2, ' # {trace_id="bb"} 0.25 200.001'),
    bucket(3, ' # {trace_id="cc"} 0.75 150.001'),
    bucket(4, ""),
  ];
  const head = "# HELP d Durations.\n# TYPE d histogram\n";
  const sum = 'd_bucket{path="# {x} 1",le="1"} 10';
  assert.equal(sumMetrics(texts, true), `${head}${sum} # {trace_id="bb"} 0.25 200.001\n\n`);
  assert.equal(sumMetrics(texts), `${head}${sum}\n\n`);
});

test("answers are merged by what their items are called", () => {
  const answer = (state: string, inFlight: number, up: boolean) => ({
    clusters: [
      {
        name: "orders",
        staleSince: null,
        endpoints: [{ address: "10.0.0.1:1", state, weight: 2, inFlight, connections: 1, lastError: null }],
      },
    ],
    rateLimits: [{ name: "all", direction: "inbound", storeUp: up, keys: 3, refused: inFlight }],
  });
  assert.deepEqual(sumAnswers([answer("up", 0, true), answer("ejected", 3, false), answer("up", 4, true)]), {
    clusters: [
      {
        name: "orders",
        staleSince: null,
        endpoints: [
          { address: "10.0.0.1:1", state: "ejected", weight: 2, inFlight: 7, connections: 3, lastError: null },
        ],
      },
    ],
    rateLimits: [{ name: "all", direction: "inbound", storeUp: false, keys: 3, refused: 7 }],
  });
  const looked = { clusters: [{ name: "found", endpoints: [] }], rateLimits: [] };
  assert.deepEqual(sumAnswers([{ clusters: [], rateLimits: [] }, looked, looked]), looked);
});

test("of limits there is as much as the workers have together; the control thread's is nobody's", () => {
  for (const name of ["outrigger_retry_budget", "outrigger_bandwidth_limit_bytes", "outrigger_concurrency_limit"]) {
    const text = (used: number): string =>
      `# HELP ${name} Budget.\n# TYPE ${name} gauge\n${name}{value="used"} ${used}\n${name}{value="allowed"} 100\n`;
    const families = parseMetrics(sumMetrics([text(8), text(3), text(4)]));
    assert.equal(sampleValue(families, name, { value: "used" }), 7);
    assert.equal(sampleValue(families, name, { value: "allowed" }), 200);
  }
});

test("of a resource that is watched the worst off thread's counts", () => {
  const memory = (used: number): Json => ({
    resources: [{ name: "memory", used, available: 100, pressure: used / 100 }],
  });
  assert.deepEqual(sumAnswers([memory(30), memory(50), memory(40)]), memory(50));
});

test("the policies of an upstream are the sum of what the workers say of them", () => {
  const policies = (retries: number, current: number): Json => [
    {
      upstream: "up",
      retry: { retries, hedges: 1, budget: { used: retries, allowed: 100 }, refused: { attempts: 2, budget: 1 } },
      circuitBreakers: [
        { method: "", state: current > 3 ? "open" : "closed", opened: 1, window: { calls: 9, failures: 4, slow: 0 } },
      ],
      limits: [{ name: "maxConcurrent", limit: 5, current }],
    },
  ];
  assert.deepEqual(sumAnswers([[], policies(3, 1), policies(4, 5)]), [
    {
      upstream: "up",
      retry: { retries: 7, hedges: 2, budget: { used: 7, allowed: 200 }, refused: { attempts: 4, budget: 2 } },
      circuitBreakers: [{ method: "", state: "open", opened: 2, window: { calls: 18, failures: 8, slow: 0 } }],
      limits: [{ name: "maxConcurrent", limit: 10, current: 6 }],
    },
  ]);
});

test("overload is that of the thread that is worst off, and bandwidth that of all threads", () => {
  const thread = (value: number, since: string | null, way: string) => ({
    overload: {
      resources: [{ name: "memory", unit: "octets", value, available: 100, pressure: value / 100 }],
      actions: [{ name: "refuseAll", since, why: since, times: 1, effects: 2 }],
    },
    bandwidth: [
      { direction: "outbound", upstream: "a", way, bytesPerSecond: 5, burst: 3, waiting: 1, passed: 9, delayed: 4 },
    ],
  });
  const limit = {
    direction: "outbound",
    upstream: "a",
    burst: 3,
    waiting: 1,
    passed: 9,
    delayed: 4,
    bytesPerSecond: 5,
  };
  assert.deepEqual(
    sumAnswers([thread(90, null, "request"), thread(96, "then", "request"), thread(95, null, "response")]),
    {
      overload: {
        resources: [{ name: "memory", unit: "octets", value: 96, available: 100, pressure: 0.96 }],
        actions: [{ name: "refuseAll", since: "then", why: "then", times: 1, effects: 6 }],
      },
      bandwidth: [
        { ...limit, way: "request", bytesPerSecond: 10, burst: 6, waiting: 2, passed: 18, delayed: 8 },
        { ...limit, way: "response" },
      ],
    },
  );
});
