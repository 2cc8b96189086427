import assert from "node:assert/strict";
import { test } from "node:test";
import { Decisions } from "../../../src/observability/explain/decisions.ts";
import { makeCall } from "../../filters/make-call.ts";

function ring(calls: number): Decisions {
  let now = 0;
  return new Decisions(calls, { now: () => now++ });
}

test("what was decided about a call is found by its number, in order, whatever other calls did meanwhile", () => {
  const decisions = ring(16);
  const [one, other] = [makeCall(), makeCall()];
  decisions.begin(one);
  decisions.begin(other);
  one.note("routes", "a listener");
  other.note("routes", "another listener");
  one.note("limit", "maxConcurrent", 812, 1000);
  other.note("ended", "", 0);
  assert.deepEqual(decisions.find(one.id), {
    call: one,
    forgotten: false,
    facts: [
      { decision: "routes", subject: "a listener", value: 0, bound: 0, at: 0 },
      { decision: "limit", subject: "maxConcurrent", value: 812, bound: 1000, at: 2 },
    ],
  });
});

test("a call that is too old is not found, and no other in its place", () => {
  const decisions = ring(4);
  const calls = Array.from({ length: 5 }, () => makeCall());
  for (const call of calls) decisions.begin(call);
  assert.equal(decisions.find(1), undefined);
  assert.equal(decisions.find(5)?.call, calls[4]);
  assert.deepEqual([...decisions.latest()], calls.slice(1).reverse());
});

test("a call whose first decisions have been written over says so", () => {
  const decisions = ring(2);
  const call = makeCall();
  decisions.begin(call);
  call.note("routes", "a listener");
  for (let attempt = 1; attempt <= 24; attempt++) call.note("attempt", "10.0.0.1:1", attempt);
  const found = decisions.find(call.id);
  assert.equal(found?.forgotten, true);
  assert.equal(found.facts.length, 24);
  assert.equal(found.facts[0]?.value, 1);
});

test("a call whose decisions are wanted at its end keeps them, however much is written over", () => {
  const decisions = ring(1);
  const call = makeCall();
  decisions.begin(call);
  call.facts = [];
  for (let attempt = 1; attempt <= 20; attempt++) call.note("attempt", "10.0.0.1:1", attempt);
  assert.equal(decisions.recorded(call).facts.length, 20);
});

test("a call that nobody records takes notes without effect", () => {
  const call = makeCall();
  call.note("routes", "a listener");
  assert.equal(call.id, 0);
});

test("of a call that is over its short fields are remembered, and of its method the beginning", () => {
  const decisions = ring(16);
  const long = "x".repeat(60_000);
  const [small, large, open] = [
    makeCall([["x-a", "b"]]),
    makeCall(
      [
        ["x-a", "b"],
        ["x-long", long],
        [":authority", "up"],
      ],
      true,
      `/${long}`,
    ),
    makeCall([["x-long", long]]),
  ];
  for (const call of [small, large, open]) decisions.begin(call);
  large.note("ended", "", 0);
  for (const call of [small, large]) call.recorder?.over(call);
  assert.equal(decisions.find(small.id)?.call, small);
  assert.equal(decisions.find(open.id)?.call, open);
  const found = decisions.find(large.id);
  assert.equal(found?.facts.length, 1);
  const { head, path } = found.call;
  assert.deepEqual([head.get("x-a"), head.get("x-long"), head.get(":authority")], ["b", undefined, "up"]);
  assert.deepEqual([path.length, head.get(":path")?.length, head.size < 4096], [257, 257, true]);
});
