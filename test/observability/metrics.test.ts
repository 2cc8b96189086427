import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { rest } from "../../src/core/rest.ts";
import type { MetricsView } from "../../src/observability/mesh-gauges.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { FakeClock } from "../support/clock.ts";
import { startProcess } from "../support/process.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";

class View implements MetricsView {
  states: { upstream: string; state: string; count: number }[] = [{ upstream: "user", state: "healthy", count: 3 }];
  version = 1;
  reloaded = true;
  endpoints() {
    return this.states;
  }
  *connections() {
    yield { direction: "outbound", upstream: "user", count: 2 } as const;
    yield { direction: "inbound", upstream: "user", count: 1 } as const;
  }
  configVersion() {
    return this.version;
  }
  lastReloadSucceeded() {
    return this.reloaded;
  }
  balancing() {
    return [
      { upstream: "orders", panic: false, skew: undefined, ejections: new Map(), suppressed: 0, overLimit: undefined },
    ];
  }
  streams() {
    return [{ direction: "inbound", upstream: "", count: 3 }] as const;
  }
  discoveryChanges() {
    return [{ upstream: "orders", count: 2 }];
  }
  discoveryAges() {
    return [{ upstream: "user", seconds: 0.25 }];
  }
  inboundTransports() {
    return [{ transport: "tls", count: 1 } as const];
  }
  certificateExpiry() {
    return 3600;
  }
}

function metrics(): { all: Metrics; view: View } {
  const all = new Metrics("1.2.3", new FakeClock());
  const view = new View();
  all.watch(view);
  const user = all.calls.upstream("outbound", "user");
  user.started();
  user.finished("/user.v1.UserService/GetUser", 0, undefined, "app", 2);
  return { all, view };
}

test("a scrape has every family of the contract under its name, type and labels", async () => {
  const families = parseMetrics((await metrics().all.scrape()).text);
  const contract: [name: string, type: string, labels: string][] = [
    ["outrigger_calls_started_total", "counter", "direction,upstream"],
    ["outrigger_calls_handled_total", "counter", "direction,upstream,method,grpc_status,reason,origin"],
    ["outrigger_call_duration_seconds", "histogram", "direction,upstream,method,le"],
    ["outrigger_calls_in_flight", "gauge", "direction,upstream"],
    ["outrigger_bytes_total", "counter", "direction,upstream,way"],
    ["outrigger_endpoints", "gauge", "upstream,state"],
    ["outrigger_connections", "gauge", "direction,upstream"],
    ["outrigger_config_version", "gauge", ""],
    ["outrigger_config_last_reload_success", "gauge", ""],
    ["outrigger_discovery_age_seconds", "gauge", "upstream"],
    ["outrigger_build_info", "gauge", "version,node"],
  ];
  for (const [name, type, labels] of contract) {
    const family = families.get(name);
    assert.equal(family?.type, type, name);
    assert.equal(Object.keys(family?.samples[0]?.labels ?? {}).join(), labels, name);
  }
  assert.equal(sampleValue(families, "outrigger_build_info", { version: "1.2.3" }), 1);
});

test("the gauges say what the view says when they are read, and forget what is gone", async () => {
  const { all, view } = metrics();
  let families = parseMetrics((await all.scrape()).text);
  assert.equal(sampleValue(families, "outrigger_endpoints", { upstream: "user", state: "healthy" }), 3);
  assert.equal(sampleValue(families, "outrigger_connections", { direction: "outbound" }), 2);
  assert.equal(sampleValue(families, "outrigger_config_version"), 1);
  assert.equal(sampleValue(families, "outrigger_config_last_reload_success"), 1);
  assert.equal(sampleValue(families, "outrigger_discovery_age_seconds", { upstream: "user" }), 0.25);

  view.states = [{ upstream: "orders", state: "ejected", count: 1 }];
  view.version = 2;
  view.reloaded = false;
  families = parseMetrics((await all.scrape()).text);
  assert.equal(sampleValue(families, "outrigger_endpoints", { upstream: "user" }), undefined);
  assert.equal(sampleValue(families, "outrigger_endpoints", { upstream: "orders", state: "ejected" }), 1);
  assert.equal(sampleValue(families, "outrigger_config_version"), 2);
  assert.equal(sampleValue(families, "outrigger_config_last_reload_success"), 0);
});

test("what is said of the process is true of it", async () => {
  const { all } = metrics();
  const before = parseMetrics((await all.scrape()).text);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  // The loop's own times are known from its second turn on.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const after = parseMetrics((await all.scrape()).text);
  server.close();
  const grown = (name: string): number =>
    (sampleValue(after, name) ?? Number.NaN) - (sampleValue(before, name) ?? Number.NaN);
  assert.equal(grown("process_open_fds"), 1);
  assert.ok(grown("process_cpu_seconds_total") >= 0);
  const between = (name: string, low: number, high: number): void => {
    const value = sampleValue(after, name) ?? Number.NaN;
    assert.ok(value >= low && value <= high, `${name} is ${value}`);
  };
  between("process_resident_memory_bytes", 20e6, 2e9);
  between("process_virtual_memory_bytes", 100e6, 1e13);
  between("process_max_fds", 64, 1e9);
  between("nodejs_heap_size_used_bytes", 1e6, 2e9);
  between("nodejs_eventloop_active_seconds_total", 0.0001, 60);
  const started = Date.UTC(2030, 0, 1) / 1000 - (sampleValue(after, "process_start_time_seconds") ?? 0);
  assert.ok(started > 0 && started < 600, `started ${started} s ago`);
});

test("time in which a thread rests to collect calls is time with nothing to do", async () => {
  const { all } = metrics();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const idle = async (): Promise<number> =>
    sampleValue(parseMetrics((await all.scrape()).text), "nodejs_eventloop_idle_seconds_total") ?? Number.NaN;
  const before = await idle();
  rest(100);
  const grown = (await idle()) - before;
  assert.ok(grown >= 0.099, `${grown} s`);
});

test("what blocks the event loop is seen in the longest of its turns", async () => {
  const { all } = metrics();
  await new Promise((resolve) => setImmediate(resolve));
  const end = performance.now() + 60;
  while (performance.now() < end);
  // A turn is known once it is over.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const families = parseMetrics((await all.scrape()).text);
  const delay = (percentile: string) =>
    sampleValue(families, "outrigger_event_loop_delay_seconds", { percentile }) ?? Number.NaN;
  assert.ok(delay("100") >= 0.03, `${delay("100")} s`);
  assert.ok(delay("50") <= delay("99") && delay("99") <= delay("100"));
});

test("metrics wake nobody: a process that has them ends by itself, and an idle one sleeps", async () => {
  const code = `
    import { Metrics } from "./src/observability/metrics.ts";
    import { systemClock } from "./src/core/clock.ts";
    const metrics = new Metrics("1", systemClock);
    await metrics.scrape();
    const before = process.resourceUsage().voluntaryContextSwitches;
    setTimeout(() => console.log("woken", process.resourceUsage().voluntaryContextSwitches - before), 500);`;
  const child = await startProcess(process.execPath, ["--input-type=module-typescript", "-e", code]);
  const [, woken] = await child.line(/^woken (\d+)$/);
  assert.ok(Number(woken) < 25, `${woken} times in half a second`);
  assert.equal((await child.exited).code, 0);
});

test("promtool finds nothing to say", skipUnless("promtool"), async () => {
  const child = await startProcess(requirePart("promtool"), ["check", "metrics"], {
    input: (await metrics().all.scrape()).text,
  });
  const { code } = await child.exited;
  assert.equal(`${child.stdout()}${child.stderr()}`, "");
  assert.equal(code, 0);
});
