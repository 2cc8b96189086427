import assert from "node:assert/strict";
import { test } from "node:test";
import { rotate, spread } from "./statistics.ts";

test("the median of an odd number of rounds is the middle one", () => {
  assert.deepEqual(spread([9, 1, 4]), { median: 4, min: 1, max: 9 });
});

test("the median of an even number of rounds is the mean of the middle two", () => {
  assert.deepEqual(spread([4, 1, 2, 100]), { median: 3, min: 1, max: 100 });
});

test("no rounds have no median", () => {
  assert.equal(spread([]), undefined);
});

test("everybody comes first once when the order rotates", () => {
  const orders = [0, 1, 2, 3].map((round) => rotate(["a", "b", "c"], round).join(""));
  assert.deepEqual(orders, ["abc", "bca", "cab", "abc"]);
  assert.deepEqual(rotate([], 3), []);
});
