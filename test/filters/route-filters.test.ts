import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { routeFilters, unroutedFilters } from "../../src/filters/index.ts";
import type { Outcome } from "../../src/http/call.ts";
import { AccessLog, type AccessMode } from "../../src/observability/access-log.ts";
import { CallMetrics } from "../../src/observability/call-metrics.ts";
import { accessRules, accessServices } from "../support/access-services.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { makeCall } from "./make-call.ts";

function setup(mode: AccessMode = "all") {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const registry = new Registry();
  const metrics = new CallMetrics(registry);
  const series = metrics.upstream("outbound", "orders");
  const scrape = async () => parseMetrics(`${await registry.metrics()}\n${metrics.render()}`);
  return { lines, series, accessLog: new AccessLog(logger, accessRules(mode, { limit: 0 }), accessServices), scrape };
}

const failed: Outcome = { status: 14, reason: "UPSTREAM_LOST", origin: "proxy", detail: "the cable was pulled" };

test("a call is counted when it begins and when it ends, and its line tells the same outcome", async () => {
  const { lines, series, accessLog, scrape } = setup();
  const chain = routeFilters({
    series,
    accessLog,
    tracer: undefined,
    timeout: undefined,
    concurrency: undefined,
    rates: undefined,
  });
  const call = makeCall([
    ["x-request-id", "r1"],
    ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ]);
  call.upstream = "orders";
  call.endpoint = "127.0.0.1:7001";
  call.attempts = 2;
  call.bytesReceived = 10;
  call.bytesSent = 20;
  const labels = { direction: "outbound", upstream: "orders" };
  await chain.onRequest(call);
  assert.equal(sampleValue(await scrape(), "outrigger_calls_in_flight", labels), 1);
  chain.onFinish(call, failed, 1012.5);
  const after = await scrape();
  assert.equal(sampleValue(after, "outrigger_calls_started_total", labels), 1);
  assert.equal(sampleValue(after, "outrigger_calls_in_flight", labels), 0);
  const outcome = { ...labels, reason: "UPSTREAM_LOST", grpc_status: "UNAVAILABLE", origin: "proxy", method: "other" };
  assert.equal(sampleValue(after, "outrigger_calls_handled_total", outcome), 1);
  assert.deepEqual(lines, [
    {
      level: 30,
      call_id: "test-0",
      direction: "outbound",
      upstream: "orders",
      endpoint: "127.0.0.1:7001",
      protocol: "grpc",
      method: "test.v1.Test/Call",
      grpc_status: "UNAVAILABLE",
      reason: "UPSTREAM_LOST",
      origin: "proxy",
      duration_ms: 12.5,
      attempts: 2,
      peer: "127.0.0.1:4711",
      bytes_received: 10,
      bytes_sent: 20,
      request_id: "r1",
      trace_id: "0af7651916cd43dd8448eb211c80319c",
      detail: "the cable was pulled",
      msg: "call",
    },
  ]);
});

test("the log has the lines that its mode asks for", () => {
  const expected: [mode: AccessMode, lines: number][] = [
    ["all", 2],
    ["errors", 1],
    ["none", 0],
  ];
  for (const [mode, count] of expected) {
    const { lines, series, accessLog } = setup(mode);
    const chain = unroutedFilters({ series, accessLog, tracer: undefined });
    for (const outcome of [failed, { ...failed, status: 0, reason: undefined }]) {
      void chain.onRequest(makeCall());
      chain.onFinish(makeCall(), outcome, 1001);
    }
    assert.equal(lines.length, count, mode);
  }
});

test("an upstream's timeout comes after the caller's, and only where one is configured", async () => {
  const { series, accessLog } = setup();
  const deadlineOf = async (timeout: number | undefined) => {
    const call = makeCall([["grpc-timeout", "1S"]]);
    await routeFilters({
      series,
      accessLog,
      tracer: undefined,
      timeout,
      concurrency: undefined,
      rates: undefined,
    }).onRequest(call);
    return call.deadline;
  };
  assert.deepEqual(await deadlineOf(undefined), { at: 2000, by: "caller" });
  assert.deepEqual(await deadlineOf(500), { at: 1500, by: "policy" });
  assert.deepEqual(await deadlineOf(5000), { at: 2000, by: "caller" });
});

test("a call that reaches no route has no deadline: it is answered at once", async () => {
  const { series, accessLog } = setup();
  const call = makeCall([["grpc-timeout", "1S"]]);
  await unroutedFilters({ series, accessLog, tracer: undefined }).onRequest(call);
  assert.equal(call.deadline, undefined);
});
