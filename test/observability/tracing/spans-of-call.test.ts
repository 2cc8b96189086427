import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call, Outcome } from "../../../src/http/call.ts";
import type { Fact } from "../../../src/http/decision.ts";
import { spansOf } from "../../../src/observability/tracing/spans-of-call.ts";
import { makeCall } from "../../filters/make-call.ts";

const OK: Outcome = { status: 0, reason: undefined, origin: "app", detail: undefined };
const LATE: Outcome = { status: 4, reason: "DEADLINE_POLICY", origin: "proxy", detail: "x" };

function fact(decision: Fact["decision"], subject: string, value: number, at: number): Fact {
  return { decision, subject, value, at, bound: 0 };
}

function spans(outcome: Outcome, facts: readonly Fact[], parentId: string | undefined, prepare?: (call: Call) => void) {
  const call = makeCall();
  call.upstream = "orders";
  call.endedAt = 1100;
  prepare?.(call);
  const spanIds = ["1111111111111111", "2222222222222222", "3333333333333333"];
  const trace = { format: "w3c", traceId: "a".repeat(32), parentId, sampled: true, spanIds } as const;
  const wall = (at: number): number => at + 1_000_000;
  return spansOf({
    call,
    trace,
    outcome,
    facts,
    id: "abcd-1",
    wall,
    newSpanId: () => "9".repeat(16),
    contextLost: false,
  });
}

const three = [
  fact("attempt", "10.0.0.1:1", 1, 1000),
  fact("attemptEnded", "UNAVAILABLE", 1, 1010),
  fact("attempt", "10.0.0.2:1", 2, 1020),
  fact("attempt", "[::1]:9", 3, 1030),
  fact("attemptEnded", "cancelled", 2, 1090),
  fact("attemptEnded", "OK", 3, 1095),
];

test("attempts are siblings below the caller's span, each with its own times, endpoint and end", () => {
  const found = spans(OK, three, "p".repeat(16));
  assert.deepEqual(
    found.map(({ spanId, parentId, kind, startedAt, endedAt, error }) => [
      spanId[0],
      parentId?.[0],
      kind,
      startedAt,
      endedAt,
      error,
    ]),
    [
      ["1", "p", "client", 1_001_000, 1_001_010, "UNAVAILABLE"],
      ["2", "p", "client", 1_001_020, 1_001_090, "cancelled"],
      ["3", "p", "client", 1_001_030, 1_001_100, undefined],
    ],
  );
  const [, , last] = found;
  assert.deepEqual([last?.attributes["server.address"], last?.attributes["server.port"]], ["::1", 9]);
});

test("where the trace begins here and there are several, they stand below a span of the call", () => {
  const [root, ...attempts] = spans(OK, three, undefined);
  assert.deepEqual(
    [root?.kind, root?.parentId, root?.startedAt, root?.endedAt],
    ["internal", undefined, 1_001_000, 1_001_100],
  );
  assert.deepEqual(new Set(attempts.map(({ parentId }) => parentId)), new Set([root?.spanId]));
});

test("the only attempt is the call, with what the call came to", () => {
  const [span, ...more] = spans(LATE, three.slice(0, 1), undefined);
  assert.deepEqual(more, []);
  assert.deepEqual([span?.spanId[0], span?.kind, span?.error], ["1", "client", "DEADLINE_POLICY"]);
  assert.equal(span?.attributes["error.type"], "DEADLINE_POLICY");
  assert.equal(span?.attributes["rpc.response.status_code"], "DEADLINE_EXCEEDED");
});

test("a call without an attempt is a client's span all the same", () => {
  assert.deepEqual(
    spans(LATE, [], undefined).map(({ kind }) => kind),
    ["client"],
  );
});

test("a server's span is an error only where the server is to blame", () => {
  const inbound = (call: Call): void => void Object.defineProperty(call, "direction", { value: "inbound" });
  const notFound = { ...OK, status: 5 };
  assert.equal(spans(notFound, [], "p", inbound)[0]?.error, undefined);
  assert.equal(spans(notFound, [], "p")[0]?.error, "NOT_FOUND");
  assert.equal(spans({ ...OK, status: 13 }, [], "p", inbound)[0]?.error, "INTERNAL");
  assert.equal(spans(OK, [], "p", inbound)[0]?.kind, "server");
});

test("what was decided besides attempts is an event", () => {
  const [span] = spans(OK, [...three.slice(0, 2), fact("notRetried", "the request is too large", 1, 1050)], "p");
  assert.deepEqual(span?.events, [{ name: "notRetried: the request is too large", at: 1_001_050 }]);
});
