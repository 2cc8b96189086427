import assert from "node:assert/strict";
import { test } from "node:test";
import { RollingCount } from "../../src/core/rolling-count.ts";

test("it is the sum of the window, forgotten in steps", () => {
  const count = new RollingCount(1000, 10);
  for (let now = 5000; now < 6000; now += 10) count.add(now);
  assert.equal(count.sum, 100);
  count.turn(6050);
  assert.equal(count.sum, 90);
  count.add(6199);
  assert.equal(count.sum, 81);
  count.turn(7050);
  assert.equal(count.sum, 1);
  count.turn(99_000);
  assert.equal(count.sum, 0);
});

test("it agrees with a sum over a list, however long nothing comes", () => {
  const count = new RollingCount(400, 4);
  const times: number[] = [];
  let now = 0;
  for (let n = 0; n < 5000; n++) {
    now += (n * 7919) % (n % 100 === 0 ? 1000 : 23);
    count.add(now);
    times.push(now);
    const first = (Math.floor(now / 100) - 3) * 100;
    assert.equal(count.sum, times.filter((time) => time >= first).length);
  }
});
