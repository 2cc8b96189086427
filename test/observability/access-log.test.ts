import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessLog, type AccessRecord, type AccessRules } from "../../src/observability/access-log.ts";
import { createLog } from "../../src/observability/log.ts";
import { accessRules, accessServices } from "../support/access-services.ts";
import { FakeClock } from "../support/clock.ts";

const record: AccessRecord = {
  direction: "outbound",
  upstream: "user",
  endpoint: "127.0.0.1:50051",
  protocol: "grpc",
  route: "",
  path: "/user.v1.UserService/GetUser",
  httpMethod: undefined,
  httpStatus: 0,
  status: 0,
  reason: undefined,
  origin: "app",
  durationMs: 1.23456,
  attempts: 1,
  peer: "127.0.0.1:40000",
  peerService: undefined,
  bytesReceived: 12,
  bytesSent: 34,
  requestId: undefined,
  traceId: undefined,
  callId: "abcd-1",
  authority: "user",
  identity: undefined,
  deadlineMs: undefined,
  phases: { deciding: 0.1, reaching: 0.2, upstream: 0.9, answering: 0.03456 },
  detail: undefined,
};

function accessLog(rules: AccessRules = accessRules("all"), random = 0) {
  const lines: Record<string, unknown>[] = [];
  const clock = new FakeClock();
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) };
  const { calls } = createLog({ service: "user", version: "1", level: "info", clock, sink });
  const services = { ...accessServices, now: () => clock.now(), random: () => random };
  return { access: new AccessLog(calls, rules, services), lines, clock };
}

test("each mode wants its calls, and may be changed at any time", () => {
  const { access } = accessLog();
  const wanted = (): boolean[] => [0, 5, 14].map((status) => access.wants(status, undefined, 1));
  assert.deepEqual(wanted(), [true, true, true]);
  access.rules = accessRules("errors");
  assert.deepEqual(wanted(), [false, true, true]);
  access.rules = accessRules("none", { limit: 0.5 });
  assert.deepEqual(wanted(), [false, false, false]);
});

test("of the calls that ended well a share is logged, of the others every one", () => {
  const rules = accessRules("all", { sampling: 0.25 });
  assert.equal(accessLog(rules, 0.24).access.wants(0, undefined, 1), true);
  const { access } = accessLog(rules, 0.25);
  assert.deepEqual([access.wants(0, undefined, 1), access.wants(5, undefined, 1)], [false, true]);
});

test("slow calls and failures are logged although the log is off, so many a second, and the rest is counted", () => {
  const { access, lines, clock } = accessLog(accessRules("none", { slow: 500, limit: 2 }));
  assert.equal(access.wants(0, undefined, 499), false);
  assert.equal(access.wants(5, undefined, 1), false, "NOT_FOUND is an answer");
  assert.equal(access.wants(0, undefined, 500), true);
  assert.equal(access.wants(8, "QUEUE_FULL", 1), true);
  for (let call = 0; call < 7; call++) assert.equal(access.wants(14, "UPSTREAM_LOST", 1), false);
  clock.advance(500);
  assert.equal(access.wants(13, undefined, 1), true);
  access.write(record);
  access.write(record);
  assert.deepEqual(
    lines.map(({ suppressed }) => suppressed),
    [7, undefined],
  );
});

test("what is to be redacted is, and what is not there is not made up", () => {
  const { access, lines } = accessLog(accessRules("all", { redact: ["peer", "method", "identity"] }));
  access.write(record);
  assert.deepEqual([lines[0]?.peer, lines[0]?.method, lines[0]?.identity], ["***", "***", undefined]);
});

test("a call is one line with what is known of it", () => {
  const { access, lines } = accessLog();
  access.write(record);
  assert.deepEqual(lines, [
    {
      level: "info",
      time: "2030-01-01T00:00:00.000Z",
      service: "user",
      version: "1",
      call_id: "abcd-1",
      direction: "outbound",
      upstream: "user",
      endpoint: "127.0.0.1:50051",
      authority: "user",
      protocol: "grpc",
      method: "user.v1.UserService/GetUser",
      grpc_status: "OK",
      origin: "app",
      duration_ms: 1.235,
      deciding_ms: 0.1,
      reaching_ms: 0.2,
      upstream_ms: 0.9,
      answering_ms: 0.03456,
      attempts: 1,
      peer: "127.0.0.1:40000",
      bytes_received: 12,
      bytes_sent: 34,
      msg: "call",
    },
  ]);
});

test("a failure says why, and which request and trace it was", () => {
  const { access, lines } = accessLog();
  access.write({
    ...record,
    status: 14,
    reason: "CONNECT_REFUSED",
    origin: "proxy",
    requestId: "r-1",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    detail: "127.0.0.1:50051 refused the connection",
  });
  const { grpc_status, reason, origin, request_id, trace_id, detail } = lines[0] ?? {};
  assert.deepEqual(
    { grpc_status, reason, origin, request_id, trace_id, detail },
    {
      grpc_status: "UNAVAILABLE",
      reason: "CONNECT_REFUSED",
      origin: "proxy",
      request_id: "r-1",
      trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
      detail: "127.0.0.1:50051 refused the connection",
    },
  );
});

test("what a stranger chose is cut, and cannot make another line or field", () => {
  const { access, lines } = accessLog();
  const nasty = 'x","level":"fatal"}\n{"msg":"forged';
  access.write({ ...record, path: `/${nasty}${"y".repeat(9000)}`, requestId: nasty.repeat(1000) });
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.level, "info");
  assert.ok(JSON.stringify(lines[0]).length < 1500);
});

test("a query is not logged, for it may hold a secret", () => {
  const { access, lines } = accessLog();
  access.write({ ...record, path: "/users/1?token=s3cret" });
  assert.equal(lines[0]?.method, "users/1");
});
