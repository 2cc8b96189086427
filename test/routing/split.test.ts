import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseWay, pointOf } from "../../src/routing/split.ts";

const WAYS = [
  { share: 0.9, to: "a" },
  { share: 0.07, to: "b" },
  { share: 0.03, to: "c" },
];

test("each way has its share of the points", () => {
  assert.deepEqual(
    [0, 0.899, 0.9, 0.9699, 0.971, 0.9999999].map((point) => chooseWay(WAYS, point)),
    ["a", "a", "b", "b", "c", "c"],
  );
  assert.equal(
    chooseWay(
      [
        { share: 0, to: "none" },
        { share: 1, to: "all" },
      ],
      0,
    ),
    "all",
  );
});

test("keys are spread evenly, and each has one place", () => {
  const counts = new Map<string, number>();
  for (let at = 0; at < 20_000; at++) {
    const way = chooseWay(WAYS, pointOf(`user-${at}`)) ?? "";
    counts.set(way, (counts.get(way) ?? 0) + 1);
    assert.equal(pointOf(`user-${at}`), pointOf(`user-${at}`));
  }
  // Four standard deviations of a binomial distribution.
  for (const { share, to } of WAYS) {
    const expected = 20_000 * share;
    assert.ok(Math.abs((counts.get(to) ?? 0) - expected) < 4 * Math.sqrt(expected * (1 - share)), to);
  }
});
