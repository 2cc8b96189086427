import assert from "node:assert/strict";
import { test } from "node:test";
import { type Family, parseMetrics, sampleValue } from "../support/prometheus.ts";
import { answerHead, callHead, inboundHop, outboundHop } from "../support/raw-call.ts";
import type { RawPeer, RawServer } from "../support/raw-peer.ts";
import { ask, httpServer, socketMesh } from "../support/socket-mesh.ts";
import { eventually, inScope, type Sidecar } from "../support/with-proxy.ts";

const otel = { metrics: { names: "otel" } };
const MESSAGE = Buffer.from("\x00\x00\x00\x00\x03abc", "latin1");

async function scraped({ runtime }: Sidecar): Promise<Map<string, Family>> {
  return parseMetrics((await runtime.services.metrics.scrape()).text);
}

/** A call with a message there and one back; `statuses`: what the attempts at it end with. */
async function call(caller: RawPeer, server: RawServer, ...statuses: readonly number[]): Promise<void> {
  const stream = caller.request(callHead("up"), false);
  caller.data(stream, MESSAGE, true);
  const upstream = server.peers[0] ?? (await server.peer());
  for (const status of statuses) {
    const request = await upstream.nextRequest();
    await upstream.next("data", request.stream);
    if (status !== 0) upstream.headers(request.stream, [...answerHead, ["grpc-status", String(status)]], true);
    else {
      upstream.headers(request.stream, answerHead);
      upstream.data(request.stream, MESSAGE);
      upstream.headers(request.stream, [["grpc-status", "0"]], true);
    }
  }
  await caller.answer(stream);
}

test("gRPC's metrics of a client: attempts by status with their sizes, and what was made again", async () => {
  await inScope(async (scope) => {
    const retry = { attempts: 3, statuses: ["unavailable"], idempotentMethods: ["*"] };
    const { caller, server, sidecar } = await outboundHop(scope, { more: otel, settings: { retry } });
    // The method has its name once the application has answered one of its calls.
    await call(caller, server, 0);
    await call(caller, server, 0);
    await call(caller, server, 14, 14, 0);
    const families = await scraped(sidecar);
    const [method] = families.get("outrigger_calls_handled_total")?.samples ?? [];
    const of = { grpc_method: method?.labels.method ?? "", grpc_target: "up" };
    const value = (name: string, labels: Record<string, string> = {}) =>
      sampleValue(families, `grpc_client_${name}`, { ...of, ...labels });
    assert.equal(value("call_duration_seconds_count", { grpc_status: "OK" }), 3);
    assert.equal(value("attempt_started_total"), 4);
    assert.equal(value("attempt_started_total", { grpc_method: "other" }), 1, "the first one");
    assert.equal(value("attempt_duration_seconds_count", { grpc_status: "OK" }), 2);
    assert.equal(value("attempt_duration_seconds_count", { grpc_status: "UNAVAILABLE" }), 2);
    const size = "total_compressed_message_size_bytes_sum";
    assert.equal(value(`attempt_sent_${size}`, { grpc_status: "UNAVAILABLE" }), 2 * MESSAGE.length);
    assert.equal(value(`attempt_rcvd_${size}`, { grpc_status: "UNAVAILABLE" }), 0);
    assert.equal(value(`attempt_sent_${size}`, { grpc_status: "OK" }), 2 * MESSAGE.length);
    assert.equal(value(`attempt_rcvd_${size}`, { grpc_status: "OK" }), 2 * MESSAGE.length);
    assert.equal(value("call_retries_sum"), 2);
    assert.equal(value("call_retries_count"), 1, "calls without one are not in it");
    assert.equal(value("call_retry_delay_seconds_count"), 1);
    assert.equal(value("call_hedges_count"), undefined);
  });
});

test("gRPC's metrics of a server: calls that have begun, and sizes of both ways by status", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope, { more: otel });
    for (const status of [0, 0, 5]) await call(caller, server, status);
    const families = await scraped(sidecar);
    const [method] = families.get("outrigger_calls_handled_total")?.samples ?? [];
    const of = { grpc_method: method?.labels.method ?? "" };
    const value = (name: string, labels: Record<string, string> = {}) =>
      sampleValue(families, `grpc_server_call_${name}`, { ...of, ...labels });
    assert.equal(value("started_total"), 2);
    const size = "total_compressed_message_size_bytes";
    assert.equal(value(`sent_${size}_sum`, { grpc_status: "OK" }), MESSAGE.length);
    assert.equal(value(`rcvd_${size}_sum`, { grpc_status: "OK" }), MESSAGE.length);
    assert.equal(value(`sent_${size}_bucket`, { grpc_status: "NOT_FOUND", le: "0" }), 1);
    assert.equal(value(`rcvd_${size}_bucket`, { grpc_status: "NOT_FOUND", le: "1024" }), 1);
  });
});

test("requests of HTTP/1.1 stand under the names of HTTP, by the status of HTTP, and not among those of gRPC", async () => {
  await inScope(async (scope) => {
    let hold: (() => void) | undefined;
    const app = await httpServer(scope, ({ url }, response) => {
      if (url === "/slow") hold = () => response.end();
      else response.writeHead(url === "/" ? 200 : 418).end("four");
    });
    const mesh = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      inbound: otel,
      outbound: otel,
    });
    await ask(mesh.address, { method: "PUT" }, "sixsix");
    await ask(mesh.address, { path: "/tea" });
    const slow = ask(mesh.address, { path: "/slow" });
    await eventually(
      () => hold !== undefined,
      () => "the slow request",
    );
    for (const [side, sidecar, server] of [
      ["client", mesh.outbound, { server_address: "up" }],
      ["server", mesh.inbound, {}],
    ] as const) {
      const families = await scraped(sidecar);
      const value = (name: string, labels: Record<string, string>) =>
        sampleValue(families, `http_${side}_${name}`, { ...labels, url_scheme: "http", ...server });
      const put = { http_request_method: "PUT", http_response_status_code: "200" };
      assert.equal(value("request_duration_seconds_count", put), 1);
      assert.equal(value("request_body_size_bytes_sum", put), 6);
      assert.equal(value("response_body_size_bytes_sum", put), 4);
      const error = side === "client" ? { error_type: "418" } : {};
      const tea = { http_request_method: "GET", http_response_status_code: "418", ...error };
      assert.equal(value("request_duration_seconds_count", tea), 1);
      assert.equal(value("active_requests", { http_request_method: "GET" }), 1);
      assert.equal(value("active_requests", { http_request_method: "PUT" }), 0);
      for (const [name, { samples }] of families)
        if (/^(grpc|rpc)_/.test(name)) assert.deepEqual(samples, [], `${name} has what is not gRPC`);
    }
    hold?.();
    await slow;
  });
});

test("calls that began before the names were asked for do not count, and a reload begins to", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    await call(caller, server, 0);
    const { config } = sidecar.runtime;
    await sidecar.runtime.apply({ ...config, metrics: { ...config.metrics, names: "otel" } });
    await call(caller, server, 0);
    const started = (await scraped(sidecar)).get("grpc_client_attempt_started_total")?.samples;
    assert.deepEqual(
      started?.map(({ value }) => value),
      [1],
    );
    await sidecar.runtime.apply(config);
    assert.equal((await scraped(sidecar)).has("grpc_client_attempt_started_total"), false);
  });
});
