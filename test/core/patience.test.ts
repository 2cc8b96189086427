import assert from "node:assert/strict";
import { test } from "node:test";
import { setPatience } from "../../src/core/patience.ts";
import { FakeClock } from "../support/clock.ts";

test("when the time is over one more timer passes before it is judged, in which what lies in the socket is read", () => {
  const clock = new FakeClock();
  const told: string[] = [];
  setPatience(clock, 100, () => told.push("judged"));
  clock.setTimer(100, () => told.push("read"));
  clock.advance(99);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, ["read", "judged"]);
  assert.equal(clock.pending, 0);
});

test("what came in time is not judged, not even where the time is over", () => {
  const clock = new FakeClock();
  let judged = 0;
  const early = setPatience(clock, 100, () => judged++);
  early.cancel();
  const late = setPatience(clock, 100, () => judged++);
  clock.setTimer(100, () => late.cancel());
  clock.advance(1000);
  assert.equal(judged, 0);
  assert.equal(clock.pending, 0);
});
