import assert from "node:assert/strict";
import { test } from "node:test";
import { FilterChain } from "../../src/filters/chain.ts";
import type { Filter, Verdict } from "../../src/filters/filter.ts";
import { type Call, type Failure, failure, type Outcome } from "../../src/http/call.ts";
import { makeCall } from "./make-call.ts";

const refusal = failure("NO_ROUTE", "not here");
const outcome: Outcome = { status: 0, reason: undefined, origin: "app", detail: undefined };

/** A filter that notes when it runs. */
function noting(name: string, seen: string[], verdict?: Failure | Promise<Verdict>): Filter {
  return {
    name,
    onRequest: () => {
      seen.push(`${name} request`);
      return verdict;
    },
    onFinish: (_call: Call, { status }, now) => seen.push(`${name} finish ${status} ${now}`),
  };
}

test("filters see a call in their order, and all of them its end", () => {
  const seen: string[] = [];
  const chain = new FilterChain([noting("a", seen), { name: "b" }, noting("c", seen)]);
  assert.equal(chain.onRequest(makeCall()), undefined);
  chain.onFinish(makeCall(), outcome, 7);
  assert.deepEqual(seen, ["a request", "c request", "a finish 0 7", "c finish 0 7"]);
});

test("the first refusal is the answer, and later filters are not asked, but hear of the end", () => {
  const seen: string[] = [];
  const chain = new FilterChain([noting("a", seen), noting("b", seen, refusal), noting("c", seen)]);
  assert.equal(chain.onRequest(makeCall()), refusal);
  chain.onFinish(makeCall(), { ...outcome, status: 12 }, 1);
  assert.deepEqual(seen, ["a request", "b request", "a finish 12 1", "b finish 12 1", "c finish 12 1"]);
});

test("nobody waits where nobody has to", () => {
  const chain = new FilterChain([noting("a", []), noting("b", [])]);
  assert.ok(!(chain.onRequest(makeCall()) instanceof Promise));
});

test("a filter that waits is waited for, and the rest goes on after it", async () => {
  const seen: string[] = [];
  const chain = new FilterChain([
    noting("a", seen),
    noting("b", seen, Promise.resolve(undefined)),
    noting("c", seen, Promise.resolve(refusal)),
    noting("d", seen),
  ]);
  const verdict = chain.onRequest(makeCall());
  assert.deepEqual(seen, ["a request", "b request"]);
  assert.equal(await verdict, refusal);
  assert.deepEqual(seen, ["a request", "b request", "c request"]);
});

test("a call that ends while one filter has it wait is not shown to the next, which has heard of its end", async () => {
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  const chain = new FilterChain([noting("a", seen, promise), noting("b", seen)]);
  const call = makeCall();
  const verdict = chain.onRequest(call);
  // As where the wait and the deadline of a call are over in one turn.
  resolve(undefined);
  call.outcome = outcome;
  chain.onFinish(call, outcome, 1);
  assert.equal(await verdict, undefined);
  assert.deepEqual(seen, ["a request", "a finish 0 1", "b finish 0 1"]);
});

test("what a filter throws while others wait reaches whoever asked", async () => {
  const failing: Filter = {
    name: "failing",
    onRequest: () => {
      throw new Error("broken");
    },
  };
  const chain = new FilterChain([noting("a", [], Promise.resolve(undefined)), failing]);
  await assert.rejects(async () => await chain.onRequest(makeCall()), /broken/);
});
