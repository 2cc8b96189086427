import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttemptReport } from "../../../src/cluster/attempt-report.ts";
import { defaultOutlierSettings, type OutlierSettings } from "../../../src/cluster/health/settings.ts";
import { judge } from "../../../src/cluster/health/verdict.ts";
import { HeaderTable } from "../../../src/http/headers.ts";
import { Status } from "../../../src/http/reason.ts";
import { report } from "../endpoints.ts";

const verdict = (
  outcome: AttemptReport["outcome"],
  more: Partial<AttemptReport>,
  settings: Partial<OutlierSettings> = {},
): string => judge(report(outcome, more), { ...defaultOutlierSettings, ...settings });

test("of the statuses of an application four count, and those that a caller brings about are as good as OK", () => {
  const found = Object.entries(Status).map(([name, status]) => [name, verdict("ok", { status })]);
  assert.deepEqual(Object.fromEntries(found), {
    OK: "good",
    CANCELLED: "neutral",
    UNKNOWN: "bad",
    INVALID_ARGUMENT: "good",
    DEADLINE_EXCEEDED: "neutral",
    NOT_FOUND: "good",
    ALREADY_EXISTS: "good",
    PERMISSION_DENIED: "good",
    RESOURCE_EXHAUSTED: "good",
    FAILED_PRECONDITION: "good",
    ABORTED: "good",
    OUT_OF_RANGE: "good",
    UNIMPLEMENTED: "good",
    INTERNAL: "bad",
    UNAVAILABLE: "bad",
    DATA_LOSS: "bad",
    UNAUTHENTICATED: "good",
  });
});

test("the list of statuses is the user's", () => {
  const settings = { statuses: ["resourceExhausted"] } as const;
  assert.equal(verdict("ok", { status: Status.RESOURCE_EXHAUSTED }, settings), "bad");
  assert.equal(verdict("ok", { status: Status.UNAVAILABLE }, settings), "good");
});

test("a caller's cancel says nothing", () => {
  assert.equal(verdict("cancelled", { status: Status.UNAVAILABLE }), "neutral");
});

test("what the endpoint does to a call counts, what befalls the connection before does not", () => {
  const status = Status.UNAVAILABLE;
  for (const reason of ["UPSTREAM_LOST", "PROTOCOL", "REFUSED"] as const)
    assert.equal(verdict("failure", { reason, status }), "bad", reason);
  for (const reason of ["CONNECT_REFUSED", "CONNECT_TIMEOUT", "GOAWAY_UNPROCESSED", "HEADERS_TOO_LARGE"] as const)
    assert.equal(verdict("failure", { reason, status }), "neutral", reason);
  assert.equal(verdict("failure", { reason: "RST_STREAM", status: Status.INTERNAL }), "bad");
  assert.equal(verdict("failure", { reason: "RST_STREAM", status: Status.CANCELLED }), "neutral");
  assert.equal(verdict("failure", { reason: "NOT_GRPC", status: Status.UNAUTHENTICATED }), "neutral");
  assert.equal(verdict("failure", { reason: "NOT_GRPC", status: Status.UNAVAILABLE }), "bad");
});

test("a sidecar that says that its application is gone counts, one that is busy or going does not", () => {
  const trailers = new HeaderTable().head([["grpc-status", "14"]]);
  const status = Status.UNAVAILABLE;
  assert.equal(verdict("failure", { reason: "CONNECT_REFUSED", status, trailers }), "bad");
  for (const reason of ["QUEUE_FULL", "DRAINING"] as const)
    assert.equal(verdict("failure", { reason, status, trailers }), "neutral", reason);
});

test("silence until the deadline counts where the endpoint had a fair time, and not once it had begun to answer", () => {
  const late = { reason: "DEADLINE_CLIENT", status: Status.DEADLINE_EXCEEDED, startedAt: 0 } as const;
  assert.equal(verdict("failure", { ...late, endedAt: 500 }), "bad");
  assert.equal(verdict("failure", { ...late, endedAt: 99 }), "neutral");
  assert.equal(verdict("failure", { ...late, endedAt: 500, answeredAt: 400 }), "neutral");
  assert.equal(verdict("failure", { ...late, endedAt: 500 }, { timeouts: "ignored" }), "neutral");
});
