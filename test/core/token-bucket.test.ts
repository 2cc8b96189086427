import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "../../src/core/token-bucket.ts";

const BEGUN = 1_000_000;

/** How many it gives at once. */
function taken(bucket: TokenBucket, rate: number, burst: number, now: number): number {
  let count = 0;
  while (bucket.take(rate, burst, now)) count++;
  return count;
}

test("a bucket gives its burst at once, and its rate after that, up to the burst", () => {
  const bucket = new TokenBucket();
  assert.equal(taken(bucket, 10, 20, BEGUN), 20);
  assert.equal(taken(bucket, 10, 20, BEGUN + 99), 0);
  assert.equal(taken(bucket, 10, 20, BEGUN + 100), 1);
  assert.equal(taken(bucket, 10, 20, BEGUN + 1100), 10);
  assert.equal(taken(bucket, 10, 20, BEGUN + 60_000), 20);
});

test("a lower burst takes away what is there beyond it", () => {
  const bucket = new TokenBucket();
  assert.equal(bucket.take(10, 20, BEGUN), true);
  assert.equal(taken(bucket, 5, 5, BEGUN), 5);
});
