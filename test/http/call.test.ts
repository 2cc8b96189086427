import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../../src/http/call.ts";
import { type Reason, reasons, Status, statusName } from "../../src/http/reason.ts";

test("a failure has the status of its reason unless it says another, and claims nothing that it was not told", () => {
  assert.deepEqual(failure("NO_ROUTE", "why"), { reason: "NO_ROUTE", detail: "why", status: 12, unprocessed: false });
  assert.deepEqual(failure("NOT_GRPC", "", { status: 7, unprocessed: true }), {
    reason: "NOT_GRPC",
    detail: "",
    status: 7,
    unprocessed: true,
  });
});

test("every reason has a status of gRPC's, and a sentence for strangers without a variable part", () => {
  for (const [name, { status, text }] of Object.entries(reasons)) {
    assert.match(name, /^[A-Z]+(?:_[A-Z0-9]+)*$/);
    assert.ok(status > 0 && status <= 16, name);
    assert.match(text, /^[a-z](?:[a-z' -]|gRPC|TLS)+$/, name);
    assert.ok(text.length < 80, name);
  }
});

test("reasons that say that nothing was processed are those that are safe", () => {
  const safe: Reason[] = [
    "NO_ENDPOINTS",
    "CONNECT_REFUSED",
    "CONNECT_TIMEOUT",
    "CONNECT_FAILED",
    "TLS_HANDSHAKE_FAILED",
    "TLS_UNTRUSTED",
    "TLS_EXPIRED",
    "TLS_WRONG_IDENTITY",
    "TLS_REFUSED",
    "TLS_NO_IDENTITY",
    "DOWNGRADE_REFUSED",
    "QUEUE_FULL",
    "DRAINING",
  ];
  for (const reason of safe) assert.equal(reasons[reason].retry, "safe");
  assert.equal(reasons.REFUSED.retry, "safeOnce");
  assert.equal(reasons.GOAWAY_UNPROCESSED.retry, "safeOnce");
  assert.equal(reasons.UPSTREAM_LOST.retry, "unknown");
});

test("statuses have gRPC's names", () => {
  for (const [name, code] of Object.entries(Status)) assert.equal(statusName(code), name);
  assert.equal(statusName(17), "UNKNOWN");
  assert.equal(statusName(-1), "UNKNOWN");
});
