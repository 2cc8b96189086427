import assert from "node:assert/strict";
import { test } from "node:test";
import { type BucketRules, QuotaBucket } from "../../src/limits/quota/bucket.ts";

const rules: BucketRules = { unassigned: "allow", expired: "keep", expiredFor: 60_000, pace: undefined, report: 5000 };

function bucketOf(more: Partial<BucketRules> = {}) {
  const watched: QuotaBucket[] = [];
  const bucket = new QuotaBucket([["name", "a"]], () => ({ ...rules, ...more }), {
    watch: (one) => void watched.push(one),
  });
  /** How many of so many calls pass. */
  const pass = (count: number, now: number): number => {
    let passed = 0;
    for (let at = 0; at < count; at++) {
      if (!bucket.ready(now)) bucket.refused(1, now);
      else {
        bucket.take(now);
        passed++;
      }
    }
    return passed;
  };
  return { bucket, pass, watched };
}

test("before an assignment a bucket does as it is told: every call, none, or a limit of its own", () => {
  const pace = { amount: 2, per: 1000, burst: 2 };
  assert.equal(bucketOf().pass(9, 0), 9);
  assert.equal(bucketOf({ unassigned: "deny" }).pass(9, 0), 0);
  assert.equal(bucketOf({ unassigned: "limit", pace }).pass(9, 0), 2);
});

test("an assignment is obeyed from the next call on: all, none, or a pace, which has no new burst by being said again or changed", () => {
  const { bucket, pass } = bucketOf();
  assert.equal(bucket.assign({ kind: "deny" }, Number.POSITIVE_INFINITY, 0), true);
  assert.equal(pass(5, 0), 0);
  assert.equal(bucket.assign({ kind: "pace", pace: { amount: 3, per: 1000, burst: 3 } }, 10_000, 1), true);
  assert.equal(pass(5, 1), 3);
  assert.equal(bucket.assign({ kind: "pace", pace: { amount: 3, per: 1000, burst: 3 } }, 10_000, 2), false);
  assert.equal(pass(5, 2), 0, "the same is only longer");
  assert.equal(bucket.assign({ kind: "pace", pace: { amount: 4, per: 1000, burst: 4 } }, 10_000, 3), true);
  assert.equal(pass(5, 3), 1, "nor is another one a new beginning: three are used of its four");
  assert.equal(pass(9, 1003), 4);
  assert.ok(Math.abs(bucket.wait(1003) - 250) < 1);
  bucket.assign({ kind: "allow" }, 10_000, 1003);
  assert.equal(pass(9, 1003), 9);
});

for (const [expired, then] of [
  ["keep", 0],
  ["allow", 5],
  ["deny", 0],
  ["limit", 2],
] as const)
  test(`an assignment that expires: ${expired} for its time, and then as before the first one`, () => {
    const { bucket, pass } = bucketOf({ expired, pace: { amount: 2, per: 1000, burst: 2 } });
    bucket.assign({ kind: "deny" }, 1000, 0);
    assert.deepEqual([bucket.state(999), pass(5, 999)], ["assigned", 0]);
    assert.deepEqual([bucket.state(1000), pass(5, 1000)], ["expired", then]);
    assert.deepEqual([bucket.state(61_000), pass(5, 61_000)], ["unassigned", 5]);
  });

test("an assignment of no time is over at once", () => {
  const { bucket, pass } = bucketOf({ expired: "deny" });
  bucket.assign({ kind: "allow" }, 0, 0);
  assert.deepEqual([bucket.state(0), pass(1, 0)], ["expired", 0]);
});

test("usage is what came since the last report, and one that is abandoned begins anew with its next call", () => {
  const { bucket, pass, watched } = bucketOf();
  pass(3, 100);
  bucket.assign({ kind: "deny" }, Number.POSITIVE_INFINITY, 100);
  pass(2, 200);
  assert.deepEqual(bucket.takeUsage(600), { id: [["name", "a"]], elapsed: 500, allowed: 3, denied: 2 });
  assert.deepEqual(bucket.takeUsage(5600), { id: [["name", "a"]], elapsed: 5000, allowed: 0, denied: 0 });
  bucket.giveBack({ id: [["name", "a"]], elapsed: 500, allowed: 3, denied: 2 });
  assert.deepEqual(bucket.takeUsage(5700), { id: [["name", "a"]], elapsed: 600, allowed: 3, denied: 2 });
  assert.equal(watched.length, 1);
  bucket.abandon();
  assert.equal(bucket.fresh(5600), true);
  assert.equal(pass(1, 6000), 1, "it is unassigned");
  assert.equal(watched.length, 2, "and told of");
  assert.equal(bucket.fresh(6000), false);
});

test("one that has an assignment is never forgotten for another key", () => {
  const { bucket, pass } = bucketOf();
  pass(1, 0);
  bucket.assign({ kind: "deny" }, Number.POSITIVE_INFINITY, 0);
  assert.equal(bucket.fresh(1e9), false);
  assert.equal(bucket.isIdle(1e9, 60_000), false);
});
