import assert from "node:assert/strict";
import { test } from "node:test";
import { type Deadline, Deadlines } from "../../src/core/deadlines.ts";
import { FakeClock } from "../support/clock.ts";
import { seededRandom } from "../support/random.ts";

/** A clock of a process that can stand still: time goes on, and its timers run only afterwards. */
class StallingClock extends FakeClock {
  private stalled = 0;

  override now(): number {
    return super.now() + this.stalled;
  }

  stall(ms: number): void {
    this.stalled += ms;
  }
}

/** Milliseconds that a deadline may be late by. */
const LATE = 17;

test("a deadline is noticed once, after it and not before", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const expired: number[] = [];
  for (const due of [0.5, 8, 100, 101.25, 4096, 50_000]) deadlines.arm(due, () => expired.push(due));
  for (let ms = 0; ms < 60_000; ms++) {
    const before = expired.length;
    clock.advance(1);
    for (const due of expired.slice(before)) {
      assert.ok(clock.now() >= due, `${due} at ${clock.now()}`);
      assert.ok(clock.now() <= due + LATE, `${due} at ${clock.now()}`);
    }
  }
  assert.deepEqual(
    expired.sort((one, other) => one - other),
    [0.5, 8, 100, 101.25, 4096, 50_000],
  );
  assert.equal(deadlines.armed, 0);
  assert.equal(clock.pending, 0, "no timer without a deadline");
});

test("a deadline that has passed when it is armed is noticed by the next turn, whatever the wheel has passed already", () => {
  for (const early of [0, 1, 7.5, 8, 60, 5000]) {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const keeps = deadlines.arm(1e9, () => {});
    clock.advance(10_000);
    let expiredAt: number | undefined;
    deadlines.arm(10_000 - early, () => {
      expiredAt = clock.now();
    });
    clock.advance(100);
    assert.ok(expiredAt !== undefined && expiredAt <= 10_000 + LATE, `armed ${early} ms late, noticed at ${expiredAt}`);
    deadlines.disarm(keeps);
  }
});

test("what is disarmed is not noticed, and disarming twice does nothing", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const first = deadlines.arm(50, () => expired.push("first"));
  deadlines.arm(50, () => expired.push("second"));
  const third = deadlines.arm(50, () => expired.push("third"));
  deadlines.disarm(first);
  deadlines.disarm(third);
  deadlines.disarm(first);
  assert.equal(deadlines.armed, 1);
  clock.advance(100);
  assert.deepEqual(expired, ["second"]);
  deadlines.disarm(third);
  assert.equal(deadlines.armed, 0);
});

test("a deadline that expires may arm and disarm others", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  let other: Deadline | undefined;
  deadlines.arm(20, () => {
    expired.push("one");
    if (other !== undefined) deadlines.disarm(other);
    deadlines.arm(clock.now(), () => expired.push("at once"));
    deadlines.arm(clock.now() + 30, () => expired.push("later"));
  });
  // Later in the same slot's list is earlier in time: it is armed after, so the first to run disarms it.
  other = deadlines.arm(20, () => expired.push("other"));
  clock.advance(200);
  assert.equal(expired.filter((name) => name === "one").length, 1);
  assert.deepEqual(
    expired.filter((name) => name !== "other"),
    ["one", "at once", "later"],
  );
  assert.equal(deadlines.armed, 0);
  assert.equal(clock.pending, 0);
});

test("after a standstill of the process everything that is due is noticed, and nothing else", () => {
  const clock = new StallingClock();
  const deadlines = new Deadlines(clock);
  const expired: number[] = [];
  for (let due = 100; due <= 20_000; due += 100) deadlines.arm(due, () => expired.push(due));
  clock.stall(10_050);
  clock.advance(LATE);
  assert.equal(expired.length, 100);
  assert.ok(Math.max(...expired) <= clock.now());
});

test("thousands of deadlines in random order are each noticed in time or disarmed", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const random = seededRandom(5);
  let right = 0;
  let disarmed = 0;
  for (let at = 0; at < 5000; at++) {
    const due = clock.now() + random() ** 3 * 20_000 - 20;
    const armedAt = clock.now();
    const deadline = deadlines.arm(due, () => {
      const latest = Math.max(due, armedAt) + LATE;
      if (clock.now() >= due && clock.now() <= latest) right++;
    });
    if (random() < 0.3) {
      deadlines.disarm(deadline);
      disarmed++;
    }
    if (random() < 0.5) clock.advance(random() * 20);
  }
  clock.advance(40_000);
  assert.equal(right + disarmed, 5000);
  assert.equal(deadlines.armed, 0);
  assert.equal(clock.pending, 0);
});
