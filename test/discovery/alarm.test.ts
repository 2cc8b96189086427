import assert from "node:assert/strict";
import { test } from "node:test";
import { Alarm } from "../../src/discovery/alarm.ts";
import { FakeClock } from "../support/clock.ts";

test("a wait ends after its time", async () => {
  const clock = new FakeClock();
  const waiting = new Alarm(clock).wait(100);
  clock.advance(99);
  assert.equal(clock.pending, 1);
  clock.advance(1);
  await waiting;
});

test("a ring ends the wait and its timer", async () => {
  const clock = new FakeClock();
  const alarm = new Alarm(clock);
  const waiting = alarm.wait(100);
  alarm.ring();
  await waiting;
  assert.equal(clock.pending, 0);
});

test("a ring before the wait ends it at once, but only one wait", async () => {
  const clock = new FakeClock();
  const alarm = new Alarm(clock);
  alarm.ring();
  alarm.ring();
  await alarm.wait(100);
  assert.equal(clock.pending, 0);
  const waiting = alarm.wait(100);
  assert.equal(clock.pending, 1);
  clock.advance(100);
  await waiting;
});
