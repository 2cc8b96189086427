import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../src/core/deadlines.ts";
import { IdleWatch } from "../../src/core/idle-watch.ts";
import { FakeClock } from "../support/clock.ts";

function start() {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  let expired = 0;
  const watch = new IdleWatch(deadlines.timers(clock), 1000, () => {
    expired++;
  });
  return { clock, deadlines, watch, expired: () => expired };
}

test("what moves from time to time is not idle, and what has stopped is, once", () => {
  const { clock, deadlines, watch, expired } = start();
  for (let n = 0; n < 5; n++) {
    clock.advance(800);
    watch.moved();
  }
  assert.equal(expired(), 0);
  clock.advance(990);
  assert.equal(expired(), 0);
  clock.advance(30);
  assert.equal(expired(), 1);
  clock.advance(5000);
  assert.equal(expired(), 1);
  assert.equal(deadlines.armed, 0);
});

test("what is over is not watched any more", () => {
  const { clock, deadlines, watch, expired } = start();
  watch.stop();
  watch.stop();
  assert.equal(deadlines.armed, 0);
  clock.advance(5000);
  assert.equal(expired(), 0);
});

test("the timers of a clock do as well, and run as seldom as they can", () => {
  const clock = new FakeClock();
  let expired = 0;
  const watch = new IdleWatch(clock, 1000, () => {
    expired++;
  });
  for (let n = 0; n < 99; n++) {
    clock.advance(10);
    watch.moved();
  }
  assert.equal(clock.pending, 1);
  clock.advance(999);
  assert.equal(expired, 0);
  clock.advance(1);
  assert.equal(expired, 1);
  assert.equal(clock.pending, 0);
  watch.stop();
});
