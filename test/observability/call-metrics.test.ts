import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Registry } from "prom-client";
import { callMetrics } from "../../src/filters/call-metrics.ts";
import { Call } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { CallMetrics } from "../../src/observability/call-metrics.ts";
import { type Family, parseMetrics, sampleValue } from "../support/prometheus.ts";

const HANDLED = "outrigger_calls_handled_total";
const DURATION = "outrigger_call_duration_seconds";

function metrics(): { calls: CallMetrics; read: () => Promise<Map<string, Family>> } {
  const registry = new Registry();
  const calls = new CallMetrics(registry);
  return { calls, read: async () => parseMetrics(`${await registry.metrics()}\n${calls.render()}`) };
}

setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");

/** Octets of the heap that are still referred to. */
function heapInUse(): number {
  assert.ok(typeof collect === "function");
  collect();
  return process.memoryUsage().heapUsed;
}

function methods(families: ReadonlyMap<string, Family>): Set<string | undefined> {
  return new Set(families.get(HANDLED)?.samples.map(({ labels }) => labels.method));
}

test("durations by status stand under the names of OpenTelemetry and gRPC, and add up to our own", () => {
  const calls = new CallMetrics(new Registry());
  const inbound = calls.upstream("inbound", "app");
  const outbound = calls.upstream("outbound", "user");
  for (const series of [inbound, outbound]) {
    for (const [status, ms] of [
      [0, 1],
      [0, 7],
      [5, 2],
      [14, 3],
    ] as const) {
      series.started();
      series.finished("/a.A/One", status, undefined, "app", ms);
    }
  }
  const families = parseMetrics(calls.render("otel"));
  const count = (name: string, labels: Record<string, string>) => sampleValue(families, `${name}_count`, labels);
  for (const [side, target] of [
    ["server", {}],
    ["client", { grpc_target: "user" }],
  ] as const) {
    const name = `grpc_${side}_call_duration_seconds`;
    for (const [grpc_status, calls] of Object.entries({ OK: 2, NOT_FOUND: 1, UNAVAILABLE: 1 }))
      assert.equal(count(name, { grpc_method: "a.A/One", grpc_status, ...target }), calls, `${name} ${grpc_status}`);
  }
  const rpc = (status: string, more: Record<string, string> = {}) => ({
    rpc_system_name: "grpc",
    rpc_method: "a.A/One",
    rpc_response_status_code: status,
    ...more,
  });
  assert.equal(count("rpc_server_call_duration_seconds", rpc("OK")), 2);
  assert.equal(count("rpc_server_call_duration_seconds", rpc("NOT_FOUND")), 1, "no error of a server's");
  assert.equal(count("rpc_server_call_duration_seconds", rpc("UNAVAILABLE", { error_type: "UNAVAILABLE" })), 1);
  const client = { error_type: "NOT_FOUND", server_address: "user" };
  assert.equal(count("rpc_client_call_duration_seconds", rpc("NOT_FOUND", client)), 1);
  const own = { direction: "inbound", upstream: "app", method: "a.A/One" };
  assert.equal(count("outrigger_call_duration_seconds", own), 4);
  assert.equal(sampleValue(families, "outrigger_call_duration_seconds_sum", own), 0.013);
});

test("a call is counted with its method, status, reason and origin", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("outbound", "user");
  for (const ms of [0.4, 3, 70_000.6]) {
    user.started();
    user.finished("/user.v1.UserService/GetUser", 0, undefined, "app", ms);
  }
  user.finished("/user.v1.UserService/GetUser", 5, undefined, "app", 1);
  user.finished("/user.v1.UserService/GetUser", 14, "CONNECT_REFUSED", "proxy", 1);
  user.finished("/user.v1.UserService/GetUser", 14, "CONNECT_REFUSED", "proxy", 1);
  user.finished("/user.v1.UserService/GetUser", 14, "DRAINING", "peer", 1);
  user.received(5_000_000_000);
  user.sent(7);

  const families = await read();
  const same = { direction: "outbound", upstream: "user", method: "user.v1.UserService/GetUser" };
  assert.deepEqual(families.get(HANDLED)?.samples, [
    { name: HANDLED, labels: { ...same, grpc_status: "OK", reason: "", origin: "app" }, value: 3 },
    { name: HANDLED, labels: { ...same, grpc_status: "NOT_FOUND", reason: "", origin: "app" }, value: 1 },
    {
      name: HANDLED,
      labels: { ...same, grpc_status: "UNAVAILABLE", reason: "CONNECT_REFUSED", origin: "proxy" },
      value: 2,
    },
    { name: HANDLED, labels: { ...same, grpc_status: "UNAVAILABLE", reason: "DRAINING", origin: "peer" }, value: 1 },
  ]);
  assert.equal(sampleValue(families, `${DURATION}_bucket`, { ...same, le: "0.0005" }), 1);
  assert.equal(sampleValue(families, `${DURATION}_bucket`, { ...same, le: "0.001" }), 5);
  assert.equal(sampleValue(families, `${DURATION}_bucket`, { ...same, le: "60" }), 6);
  assert.equal(sampleValue(families, `${DURATION}_bucket`, { ...same, le: "+Inf" }), 7);
  assert.equal(sampleValue(families, `${DURATION}_sum`, same), 70.008);
  assert.equal(sampleValue(families, `${DURATION}_count`, same), 7);
  assert.equal(sampleValue(families, "outrigger_calls_started_total", { upstream: "user" }), 3);
  assert.equal(sampleValue(families, "outrigger_bytes_total", { way: "received" }), 5_000_000_000);
  assert.equal(sampleValue(families, "outrigger_bytes_total", { way: "sent" }), 7);
});

test("a call in flight is one that began and is not over", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("inbound", "user");
  user.started();
  user.started();
  assert.equal(sampleValue(await read(), "outrigger_calls_in_flight", { direction: "inbound" }), 2);
  user.finished("/a.B/C", 1, undefined, "proxy", 1);
  assert.equal(sampleValue(await read(), "outrigger_calls_in_flight", { direction: "inbound" }), 1);
});

test("reading twice gives the same", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("outbound", "user");
  user.started();
  user.finished("/a.B/C", 0, undefined, "app", 1);
  assert.deepEqual(await read(), await read());
});

test("an upstream in a direction has one set of counts, and each direction its own", () => {
  const { calls } = metrics();
  assert.equal(calls.upstream("outbound", "user"), calls.upstream("outbound", "user"));
  assert.notEqual(calls.upstream("outbound", "user"), calls.upstream("inbound", "user"));
});

test("a method has no label until the application has answered it with something else than UNIMPLEMENTED", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("inbound", "user");
  user.finished("/a.B/C", 12, undefined, "app", 1);
  user.finished("/a.B/C", 14, "CONNECT_REFUSED", "proxy", 1);
  user.finished("/a.B/C", 0, undefined, "peer", 1);
  assert.deepEqual([...methods(await read())], ["other"]);
  user.finished("/a.B/C", 5, undefined, "app", 1);
  user.finished("/a.B/C", 12, undefined, "app", 1);
  const families = await read();
  assert.deepEqual([...methods(families)], ["a.B/C", "other"]);
  assert.equal(sampleValue(families, `${DURATION}_count`, { method: "a.B/C" }), 2);
  assert.equal(sampleValue(families, `${DURATION}_count`, { method: "other" }), 3);
});

test("neither a call that nobody answered nor one that is not gRPC gives its method a label", async () => {
  const { calls, read } = metrics();
  const series = calls.upstream("outbound", "user");
  const filter = callMetrics(series);
  const head = new HeaderTable().head([]);
  const finish = (grpc: boolean, status: number, detail: string | undefined): void => {
    const call = new Call("outbound", "peer", head, "/a.B/C", grpc, 0);
    void filter.onRequest?.(call);
    filter.onFinish?.(call, { status, reason: undefined, origin: "app", detail }, 1);
  };
  finish(true, 1, "reset"); // the caller gave up
  finish(false, 0, undefined); // HTTP 415, say
  assert.deepEqual([...methods(await read())], ["other"]);
  finish(true, 1, undefined); // the application's own CANCELLED
  finish(true, 1, "reset");
  const families = await read();
  assert.deepEqual([...methods(families)], ["a.B/C", "other"]);
  assert.equal(sampleValue(families, `${DURATION}_count`, { method: "a.B/C" }), 2);
});

test("a path that is no method has no label, whatever the application says", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("inbound", "user");
  const paths = [
    "",
    "/",
    "/a",
    "//b",
    "/a/",
    "a.B/C",
    "/a.B/C?token=secret",
    "/a.B/C#x",
    "/a b/C",
    "/a.B/Ä",
    "/a.B/C\n",
  ];
  for (const path of [...paths, `/a.B/${"x".repeat(300)}`, "*"]) user.finished(path, 0, undefined, "app", 1);
  const families = await read();
  assert.deepEqual([...methods(families)], ["other"]);
  assert.equal(sampleValue(families, `${DURATION}_count`), paths.length + 2);
});

test("a status that is none is counted as UNKNOWN", async () => {
  const { calls, read } = metrics();
  const user = calls.upstream("inbound", "user");
  for (const status of [17, -1, 0.5, Number.NaN]) user.finished("/a.B/C", status, undefined, "app", 1);
  assert.equal(sampleValue(await read(), HANDLED, { grpc_status: "UNKNOWN" }), 4);
});

test("100,000 random paths leave series and memory bounded, answered by the application or not", async () => {
  for (const status of [0, 12]) {
    const { calls, read } = metrics();
    const user = calls.upstream("inbound", "user");
    const call = (index: number): void =>
      user.finished(`/evil${index}.${"x".repeat(80)}/Method${index}`, status, undefined, "app", 1);
    for (let index = 0; index < 1000; index++) call(index);
    const size = calls.render().length;
    const before = heapInUse();
    for (let index = 1000; index < 100_000; index++) call(index);
    const kept = heapInUse() - before;
    assert.ok(kept < 2 * 1024 * 1024, `${kept} octets are kept of 99,000 paths of 100 octets`);
    const families = await read();
    assert.equal(methods(families).size, status === 0 ? 501 : 1);
    assert.equal(sampleValue(families, `${DURATION}_count`, { method: "other" }), status === 0 ? 99_500 : 100_000);
    assert.ok(calls.render().length < size + 2000, "the scrape has only wider numbers");
  }
});

test("the 500 methods are those of all upstreams together, and a freed upstream gives its own back", async () => {
  const { calls, read } = metrics();
  const call = (upstream: string, method: string): void => {
    calls.upstream("outbound", upstream).finished(`/a.B/${method}`, 0, undefined, "app", 1);
  };
  for (let index = 0; index < 300; index++) call("one", `One${index}`);
  for (let index = 0; index < 300; index++) call("two", `Two${index}`);
  assert.equal(methods(await read()).size, 501);

  const kept = calls.upstream("outbound", "one");
  calls.free("outbound", "one");
  calls.free("outbound", "one");
  kept.finished("/a.B/Late", 0, undefined, "app", 1);
  kept.release();
  const families = await read();
  assert.equal(methods(families).size, 201);
  assert.equal(sampleValue(families, "outrigger_calls_started_total", { upstream: "one" }), undefined);

  for (let index = 0; index < 400; index++) call("three", `Three${index}`);
  assert.equal(methods(await read()).size, 501);
  assert.notEqual(calls.upstream("outbound", "one"), kept);
});

test("names are escaped, in the families of prom-client and in ours", async () => {
  const { calls, read } = metrics();
  const upstream = 'a"b\\c\nd,upstream="x"}';
  const series = calls.upstream("outbound", upstream);
  series.started();
  series.finished('/a.B/quote"back\\slash{}', 0, undefined, "app", 1);
  const families = await read();
  assert.equal(sampleValue(families, "outrigger_calls_started_total", { upstream }), 1);
  assert.equal(sampleValue(families, HANDLED, { upstream, method: 'a.B/quote"back\\slash{}' }), 1);
  assert.equal(sampleValue(families, `${DURATION}_count`, { upstream }), 1);
});

test("a frightening name of a label's value is a value", async () => {
  const { calls, read } = metrics();
  calls.upstream("outbound", "__proto__").finished("/a.B/constructor", 0, undefined, "app", 1);
  assert.equal(sampleValue(await read(), HANDLED, { upstream: "__proto__", method: "a.B/constructor" }), 1);
});
