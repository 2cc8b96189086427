import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessLog, type AccessRecord } from "../../src/observability/access-log.ts";
import { createLog } from "../../src/observability/log.ts";
import { FakeClock } from "../support/clock.ts";

const record: AccessRecord = {
  direction: "outbound",
  upstream: "user",
  endpoint: "127.0.0.1:50051",
  path: "/user.v1.UserService/GetUser",
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
  traceparent: undefined,
  detail: undefined,
};

function accessLog(): { access: AccessLog; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) };
  const { calls } = createLog({ service: "user", version: "1", level: "info", clock: new FakeClock(), sink });
  return { access: new AccessLog(calls, "all"), lines };
}

test("each mode wants its calls, and may be changed at any time", () => {
  const { access } = accessLog();
  const wanted = (): boolean[] => [0, 5, 14].map((status) => access.wants(status));
  assert.deepEqual(wanted(), [true, true, true]);
  access.mode = "errors";
  assert.deepEqual(wanted(), [false, true, true]);
  access.mode = "none";
  assert.deepEqual(wanted(), [false, false, false]);
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
      direction: "outbound",
      upstream: "user",
      endpoint: "127.0.0.1:50051",
      method: "user.v1.UserService/GetUser",
      grpc_status: "OK",
      origin: "app",
      duration_ms: 1.235,
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
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
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
  access.write({ ...record, path: `/${nasty}${"y".repeat(9000)}`, requestId: nasty.repeat(1000), traceparent: nasty });
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.level, "info");
  assert.equal(lines[0]?.trace_id, undefined);
  assert.ok(JSON.stringify(lines[0]).length < 1500);
});

test("a query is not logged, for it may hold a secret", () => {
  const { access, lines } = accessLog();
  access.write({ ...record, path: "/users/1?token=s3cret" });
  assert.equal(lines[0]?.method, "users/1");
});
