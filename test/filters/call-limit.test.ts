import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../src/core/deadlines.ts";
import { CallLimit, type CallLimitOptions } from "../../src/filters/call-limit.ts";
import type { Call } from "../../src/http/call.ts";
import { CallerShare } from "../../src/http/callers.ts";
import { FakeClock, settled } from "../support/clock.ts";
import { makeCall } from "./make-call.ts";

function setup(options: Partial<CallLimitOptions> = {}) {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const limit = new CallLimit({ maxConcurrent: 1, maxQueue: 10, maxQueueTime: 5000, ...options }, deadlines, clock);
  /** What has become of calls, in the order in which it became known. */
  const heard: string[] = [];
  const come = (caller: CallerShare): Call => {
    const call = makeCall();
    call.upstream = "orders";
    call.caller = caller;
    const verdict = limit.enter(call);
    const note = (what: Awaited<typeof verdict>): void =>
      void heard.push(what === undefined ? `${caller.name} goes` : `${caller.name} ${what.reason}`);
    if (verdict instanceof Promise) void verdict.then(note);
    else note(verdict);
    return call;
  };
  return { clock, deadlines, limit, heard, come };
}

const callers = (...names: readonly string[]): CallerShare[] => names.map((name) => new CallerShare(name));

test("callers who wait for a place have turns, however many calls one of them has in the line", async () => {
  const { limit, heard, come } = setup();
  const [greedy, modest] = callers("greedy", "modest");
  assert.ok(greedy !== undefined && modest !== undefined);
  const inside = [come(greedy)];
  for (let at = 0; at < 3; at++) inside.push(come(greedy));
  inside.push(come(modest));
  const [first, second, ...others] = inside;
  for (const call of [first, second]) if (call !== undefined) limit.leave(call);
  await settled();
  assert.deepEqual(heard, ["greedy goes", "greedy goes", "modest goes"]);
  for (const call of others) limit.leave(call);
  assert.deepEqual([limit.current, limit.waiting], [0, 0]);
});

test("a full line makes room for a caller that has fewer in it, and not for one that has most", async () => {
  const { limit, deadlines, heard, come } = setup({ maxQueue: 3 });
  const [greedy, modest] = callers("greedy", "modest");
  assert.ok(greedy !== undefined && modest !== undefined);
  const calls = [1, 2, 3, 4, 5].map(() => come(greedy));
  await settled();
  assert.deepEqual(heard, ["greedy goes", "greedy QUEUE_FULL"]);
  calls.push(come(modest));
  await settled();
  assert.deepEqual(heard.slice(2), ["greedy QUEUE_FULL"]);
  assert.deepEqual([limit.current, limit.waiting, limit.refused], [1, 3, 2]);
  for (const call of calls) limit.leave(call);
  await settled();
  assert.deepEqual([limit.current, limit.waiting, deadlines.armed], [0, 0, 0]);
});

test("whoever has waited long enough is told, and its place is nobody's any more", async () => {
  const { clock, limit, heard, come } = setup({ maxQueueTime: 100 });
  const [one] = callers("one");
  assert.ok(one !== undefined);
  const [first] = [come(one), come(one)];
  clock.advance(200);
  await settled();
  assert.deepEqual(heard, ["one goes", "one QUEUE_FULL"]);
  assert.equal(limit.waiting, 0);
  if (first !== undefined) limit.leave(first);
  assert.equal(limit.current, 0);
});
