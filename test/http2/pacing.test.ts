import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { Pacing } from "../../src/http2/pacing.ts";
import { FakeClock, settled } from "../support/clock.ts";

/** A thread whose turns are 0.05 ms of work, and what it has rested. */
class Thread {
  now = 0;
  readonly rests: number[] = [];
  readonly pacing = new Pacing((ms) => {
    this.rests.push(ms);
    this.now += ms;
  });

  turn(calls: number, work = 0.05, idle = true): void {
    this.now += work;
    for (let call = 0; call < calls; call++) this.pacing.count();
    this.pacing.endTurn(this.now, idle);
  }

  /** Turns with one call each, `apart` milliseconds from another. */
  calls(count: number, apart: number): void {
    for (let call = 0; call < count; call++) {
      this.now += Math.max(0, apart - 0.05);
      this.turn(1);
    }
  }
}

test("a thread with few calls never rests", () => {
  const thread = new Thread();
  thread.calls(2000, 0.25);
  assert.deepEqual(thread.rests, []);
});

test("some calls that come together are not taken for many", () => {
  const thread = new Thread();
  for (let second = 0; second < 10; second++) {
    thread.calls(40, 0.01);
    thread.now += 1000;
  }
  assert.deepEqual(thread.rests, []);
});

test("with many calls turns begin 0.3 ms apart, and their work is part of that", () => {
  const thread = new Thread();
  thread.calls(220, 0.05);
  assert.ok(thread.rests.length > 0);
  for (let turn = 0; turn < 100; turn++) {
    const begun = thread.now;
    thread.turn(3, 0.1);
    assert.equal(Math.round((thread.now - begun) * 1000), 300);
  }
});

test("a turn that is longer than that is followed by the next one at once, so that a busy thread never rests", () => {
  const thread = new Thread();
  for (let turn = 0; turn < 100; turn++) thread.turn(20, 0.4);
  assert.deepEqual(thread.rests, []);
});

test("a thread in which something can be done at once does not rest", () => {
  const thread = new Thread();
  for (let turn = 0; turn < 1000; turn++) thread.turn(1, 0.05, false);
  assert.deepEqual(thread.rests, []);
});

test("the first call after many, and a pause, waits for nobody", () => {
  const thread = new Thread();
  thread.calls(300, 0.05);
  assert.ok(thread.rests.length > 0);
  const before = thread.rests.length;
  thread.now += 20;
  thread.turn(1);
  assert.equal(thread.rests.length, before);
});

test("a loop rests at the end of a turn, when all is flushed, and not where something is marked again", async () => {
  const clock = new FakeClock();
  const happened: string[] = [];
  const loop = new FlushLoop(clock, new Pacing(() => happened.push("rest")));
  const flush = (): unknown => happened.push("flush");
  for (let call = 0; call < 1000; call++) loop.countCall();
  clock.advance(11);
  loop.mark({ flush });
  await settled(1);
  assert.deepEqual(happened.splice(0), ["flush"], "the turn that sees how many calls there are has been long");
  loop.mark({ flush });
  await settled(1);
  assert.deepEqual(happened.splice(0), ["flush", "rest"]);
  loop.mark({ flush: () => loop.mark({ flush }) });
  await settled(1);
  assert.deepEqual(happened.splice(0), []);
  await settled(1);
  assert.deepEqual(happened, ["flush", "rest"]);
});
