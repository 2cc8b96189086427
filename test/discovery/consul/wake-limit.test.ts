import assert from "node:assert/strict";
import { test } from "node:test";
import { WakeLimit } from "../../../src/discovery/consul/wake-limit.ts";

test("a burst of rounds needs no wait, those after it wait an interval each", () => {
  const limit = new WakeLimit(100, 3);
  assert.deepEqual([limit.next(0), limit.next(0)], [0, 0]);
  assert.equal(limit.next(0), 100);
  assert.equal(limit.next(100), 100);
  assert.equal(limit.next(200), 100);
});

test("rounds that come slower than the interval never wait", () => {
  const limit = new WakeLimit(100, 1);
  // The wait is until the next round may begin, one interval after this one at the most.
  for (let now = 0; now < 10_000; now += 150) assert.equal(limit.next(now), 100);
  const relaxed = new WakeLimit(100, 2);
  for (let now = 0; now < 10_000; now += 150) assert.equal(relaxed.next(now), 0);
});

test("what was not used is not saved beyond the burst", () => {
  const limit = new WakeLimit(100, 2);
  limit.next(0);
  assert.deepEqual([limit.next(50_000), limit.next(50_000), limit.next(50_100)], [0, 100, 100]);
});
