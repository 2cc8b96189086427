import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionBudget, connectionShare, controlShare } from "../../src/net/connection-budget.ts";

test("callers get a half of the open files that are not kept back, each thread its part of it, and at least one", () => {
  const shares = [64, 1024, 20_256, 1_048_576].map((openFiles) => connectionShare(openFiles, 1));
  assert.deepEqual(shares, [16, 384, 10_000, 524_160]);
  assert.equal(connectionShare(1024, 4), 96);
  assert.equal(connectionShare(3, 8), 1);
  assert.equal(connectionShare(undefined, 2), Number.POSITIVE_INFINITY);
});

test("admin and probe get a sixteenth each, 4 at least, and no more than they want", () => {
  assert.deepEqual(
    [16, 64, 512, 1024, 1_048_576].map((openFiles) => controlShare(openFiles, 64)),
    [4, 4, 32, 64, 64],
  );
  assert.equal(controlShare(undefined, 64), 64);
});

test("a tenth more than a budget may be open while those end that made room", () => {
  const budget = new ConnectionBudget(16);
  const at = (open: number): readonly boolean[] => {
    budget.open = open;
    return [budget.isFull, budget.isOver];
  };
  assert.deepEqual(
    [at(15), at(16), at(17), at(18)],
    [
      [false, false],
      [true, false],
      [true, false],
      [true, true],
    ],
  );
});
