import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { ecsLine } from "../../src/observability/ecs.ts";
import { createLog } from "../../src/observability/log.ts";
import { FakeClock } from "../support/clock.ts";
import { complaints } from "../support/elastic-mapping.ts";

function ecs(fields: Readonly<Record<string, unknown>>): unknown {
  const line = ecsLine(
    `${JSON.stringify({ level: "info", time: "2030-01-01T00:00:00.000Z", service: "user", ...fields })}\n`,
  );
  assert.ok(line.endsWith("}\n"));
  return JSON.parse(line);
}

test("a call has the names of the schema, its duration in nanoseconds and an outcome", () => {
  const line = ecs({
    version: "1",
    call_id: "abcd-1",
    trace_id: "a".repeat(32),
    direction: "inbound",
    upstream: "user",
    endpoint: "[::1]:50051",
    protocol: "grpc",
    method: "a.B/C",
    grpc_status: "NOT_FOUND",
    origin: "app",
    duration_ms: 1.5,
    attempts: 1,
    peer: "10.0.0.9:40000",
    bytes_received: 12,
    msg: "call",
  });
  assert.deepEqual(line, {
    "@timestamp": "2030-01-01T00:00:00.000Z",
    ecs: { version: "8.17" },
    event: {
      dataset: "outrigger.access",
      kind: "event",
      category: ["network"],
      type: ["connection", "protocol"],
      outcome: "failure",
      duration: 1_500_000,
    },
    log: { level: "info" },
    service: { name: "user", version: "1" },
    outrigger: {
      call_id: "abcd-1",
      upstream: "user",
      protocol: "grpc",
      method: "a.B/C",
      grpc_status: "NOT_FOUND",
      origin: "app",
      duration_ms: 1.5,
      attempts: 1,
    },
    trace: { id: "a".repeat(32) },
    network: { direction: "ingress", transport: "tcp", protocol: "grpc" },
    destination: { address: "[::1]:50051", ip: "::1", port: 50051 },
    source: { address: "10.0.0.9:40000", ip: "10.0.0.9", port: 40000 },
    http: { request: { body: { bytes: 12 } } },
    url: { path: "/a.B/C" },
    message: "call",
  });
  assert.deepEqual(complaints(line), []);
});

test("a request of HTTP/1.1 has its method and status where the schema has them, a connection of TCP has neither", () => {
  const call = { msg: "call", direction: "outbound", grpc_status: "OK", duration_ms: 1 };
  const web = ecs({ ...call, protocol: "http1", method: "orders/1", http_method: "GET", http_status: 204 });
  assert.deepEqual(Object(web).http, { request: { method: "GET" }, response: { status_code: 204 } });
  assert.deepEqual(Object(web).network, { direction: "egress", transport: "tcp", protocol: "http" });
  assert.equal(Object(web).url.path, "/orders/1");
  const raw = ecs({ ...call, protocol: "tcp", method: "" });
  assert.deepEqual(Object(raw).network, { direction: "egress", transport: "tcp" });
  assert.equal(Object(raw).url, undefined);
  assert.deepEqual([...complaints(web), ...complaints(raw)], []);
});

test("an error is the schema's, with what caused it; a name is no IP address, and neither is what was redacted", () => {
  const err = {
    type: "Error",
    message: "cannot",
    code: "ENOENT",
    stack: "at x",
    cause: { type: "Error", message: "gone" },
  };
  const line = ecs({ err, endpoint: "orders.internal:1", peer: "***", msg: "no" });
  assert.deepEqual(Object(line).error, { type: "Error", message: "cannot", code: "ENOENT", stack_trace: "at x" });
  assert.equal(Object(line).outrigger.cause, "gone");
  assert.deepEqual(Object(line).destination, { address: "orders.internal:1", port: 1 });
  assert.deepEqual(Object(line).source, { address: "***" });
  assert.deepEqual(complaints(line), []);
});

test("the mapping finds what it would refuse or not find", () => {
  assert.match(complaints({ event: { duration: 1.5 } })[0] ?? "", /is no long/);
  assert.match(complaints({ source: { ip: "***" } })[0] ?? "", /is no ip/);
  assert.match(complaints({ stranger: 1 })[0] ?? "", /is not mapped/);
  assert.deepEqual(complaints({ outrigger: { anything: "x" } }), []);
  assert.match(complaints({ outrigger: { anything: 1 } })[0] ?? "", /would be refused/);
  assert.match(complaints({ outrigger: { deep: { er: 1 } } })[0] ?? "", /no dynamic template/);
});

test("the format changes while running", () => {
  const lines: string[] = [];
  const sink = { write: (line: string): void => void lines.push(line) };
  const log = createLog({ service: "user", version: "1", level: "info", clock: new FakeClock(), sink });
  log.logger.info("one");
  log.format = "ecs";
  log.logger.info("two");
  assert.deepEqual(
    lines.map((line) => Object.keys(JSON.parse(line)).includes("@timestamp")),
    [false, true],
  );
});

test("Filebeat's configuration is YAML that keeps the keys as they are, and writes where the template looks", () => {
  const folder = join(import.meta.dirname, "..", "..", "deploy", "elk");
  const filebeat = parse(readFileSync(join(folder, "filebeat.yaml"), "utf8"));
  const { ndjson } = filebeat["filebeat.inputs"][0].parsers[1];
  assert.deepEqual([ndjson.target, ndjson.overwrite_keys, ndjson.expand_keys], ["", true, true]);
  const template = JSON.parse(readFileSync(join(folder, "index-template.json"), "utf8"));
  const [pattern] = template.index_patterns;
  assert.ok(String(filebeat["output.elasticsearch"].index).startsWith(pattern.replace("*", "")));
  const logstash = readFileSync(join(folder, "logstash.conf"), "utf8");
  assert.match(logstash, /data_stream_dataset => "outrigger"/);
  assert.equal(logstash.split("{").length, logstash.split("}").length);
});
