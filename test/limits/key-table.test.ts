import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyTable } from "../../src/limits/key-table.ts";
import { TokenBucket } from "../../src/limits/token-bucket.ts";

const of = { pace: { amount: 1, per: 1000, burst: 2 } };

function table(max: number): KeyTable {
  return new KeyTable(max, () => new TokenBucket(of));
}

/** Whether one more call of the key passes. */
function call(keys: KeyTable, key: string, now: number): boolean {
  const allowance = keys.of(key, now);
  const passes = allowance.ready(now);
  if (passes) allowance.take(now);
  return passes;
}

test("each key has the limit for itself", () => {
  const keys = table(10);
  assert.deepEqual([call(keys, "a", 0), call(keys, "a", 0), call(keys, "a", 0)], [true, true, false]);
  assert.equal(call(keys, "b", 0), true);
});

test("whoever makes keys up gets no more than one key's worth beyond the table, and resets nothing", () => {
  const keys = table(100);
  call(keys, "victim", 0);
  call(keys, "victim", 0);
  let passed = 0;
  for (let at = 0; at < 10_000; at++) if (call(keys, `made-up-${at}`, 1)) passed++;
  assert.equal(keys.size, 100);
  assert.equal(passed, 99 + 2);
  assert.equal(keys.overflowed, 10_000 - 99);
  assert.equal(call(keys, "victim", 1), false, "its allowance is still the one that is used up");
});

test("keys that have recovered make room for others", () => {
  const keys = table(100);
  for (let at = 0; at < 100; at++) call(keys, `old-${at}`, 0);
  const later = 5000;
  for (let at = 0; at < 100; at++) assert.equal(call(keys, `new-${at}`, later), true, `new-${at}`);
  assert.equal(keys.size, 100);
  assert.equal(keys.overflowed, 0);
});

test("a key among many that have not recovered finds the one that has", () => {
  const keys = table(50);
  call(keys, "quiet", 0);
  for (let at = 0; at < 49; at++) {
    call(keys, `busy-${at}`, 2500);
    call(keys, `busy-${at}`, 2500);
  }
  // The hand looks at a few entries for each key that comes, so that finding it takes a few keys at most.
  for (let at = 0; at < 10; at++) call(keys, `late-${at}`, 3000);
  assert.ok(keys.overflowed < 10, `${keys.overflowed}`);
});
