import assert from "node:assert/strict";
import { test } from "node:test";
import type { Explainer } from "../../../src/http/decision.ts";
import { Decisions } from "../../../src/observability/explain/decisions.ts";
import { explain } from "../../../src/observability/explain/explanation.ts";
import { makeCall } from "../../filters/make-call.ts";

function explained(record: (call: ReturnType<typeof makeCall>) => void) {
  const decisions = new Decisions(16, { now: () => 1000.5 });
  const call = makeCall();
  decisions.begin(call);
  record(call);
  return explain(decisions.recorded(call), "abcd-1", (at) => at);
}

test("a limit and a breaker stand with their value and their threshold, where they have one", () => {
  const { steps } = explained((call) => {
    call.note("limit", "maxConcurrent", 11, 10);
    call.note("breaker", "orders closed", 0.25, 0.5);
    call.note("breaker", "orders open");
  });
  assert.deepEqual(steps, [
    { at: 0.5, decision: "limit", text: "limit maxConcurrent: 11 of 10", value: 11, threshold: 10 },
    {
      at: 0.5,
      decision: "breaker",
      text: "circuit breaker orders closed: 25 % failed, it opens at 50 %",
      value: 0.25,
      threshold: 0.5,
    },
    { at: 0.5, decision: "breaker", text: "circuit breaker orders open" },
  ]);
});

test("of very many endpoints a hundred are listed, and it is said how many are not", () => {
  const many: Explainer = {
    explain: () => Array.from({ length: 1000 }, (_, at) => ({ name: `e${at}`, verdict: "eligible" })),
  };
  const { steps } = explained((call) => {
    call.note("candidates", many);
    call.note("picked", "e7", 3, 5);
  });
  const candidates = steps[0]?.candidates ?? [];
  assert.equal(candidates.length, 101);
  assert.deepEqual(candidates[7], { name: "e7", verdict: "picked" });
  assert.deepEqual(candidates.at(-1), { name: "900 more", verdict: "not listed" });
  assert.equal(steps[1]?.text, "picked e7 with 3 calls under way, the next best had 5");
});

test("what is not known yet is null", () => {
  const { status, reason, durationMs, upstream, phases, forgotten } = explained((call) =>
    call.note("routes", "a listener"),
  );
  assert.deepEqual([status, reason, durationMs, upstream, forgotten], [null, null, null, null, false]);
  assert.deepEqual(phases, { deciding: null, reaching: null, upstream: null, answering: null });
});
