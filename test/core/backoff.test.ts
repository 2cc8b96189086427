import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../src/core/backoff.ts";

test("the bound of the wait doubles with every failure up to the cap", () => {
  const backoff = new Backoff({ base: 100, cap: 1000, random: () => 0.5 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => backoff.next()),
    [50, 100, 200, 400, 500, 500],
  );
});

test("the wait is anywhere between nothing and its bound", () => {
  const randoms = [0, 0.25, 0.999];
  const backoff = new Backoff({ base: 1000, cap: 1000, random: () => randoms.shift() ?? 0 });
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [0, 250, 999]);
});

test("after a success it begins anew", () => {
  const backoff = new Backoff({ base: 10, cap: 1000, random: () => 1 });
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 10);
});

test("thousands of failures do not overflow", () => {
  const backoff = new Backoff({ base: 100, cap: 5000, random: () => 1 });
  for (let n = 0; n < 5000; n++) backoff.next();
  assert.equal(backoff.next(), 5000);
});
