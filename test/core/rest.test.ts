import assert from "node:assert/strict";
import { test } from "node:test";
import { rest, restedTime } from "../../src/core/rest.ts";

test("a rest takes at least its time, of less than a timer can, and is counted as time in which nothing was at work", () => {
  const before = restedTime();
  const begun = performance.now();
  for (let times = 0; times < 10; times++) rest(0.3);
  const took = performance.now() - begun;
  const rested = restedTime() - before;
  assert.ok(took >= 2.9, `${took} ms`);
  assert.ok(rested >= 2.9 && rested <= took, `${rested} of ${took} ms`);
});

test("of no time there is no rest", () => {
  rest(0);
});
