import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { FakeClock, settled } from "../support/clock.ts";

test("what is marked is flushed once, at the end of the turn", async () => {
  const loop = new FlushLoop(new FakeClock());
  const flushed: string[] = [];
  loop.mark({ flush: () => flushed.push("a") });
  loop.mark({ flush: () => flushed.push("b") });
  assert.deepEqual(flushed, []);
  await settled(1);
  assert.deepEqual(flushed, ["a", "b"]);
  await settled(1);
  assert.deepEqual(flushed, ["a", "b"]);
});

test("what is marked while others are flushed comes in the next turn", async () => {
  const loop = new FlushLoop(new FakeClock());
  let flushed = 0;
  const again = { flush: () => (++flushed < 3 ? loop.mark(again) : undefined) };
  loop.mark(again);
  for (let turn = 1; turn <= 3; turn++) {
    await settled(1);
    assert.equal(flushed, turn);
  }
});

test("the time is read once a turn", async () => {
  const clock = new FakeClock();
  const loop = new FlushLoop(clock);
  assert.equal(loop.now(), 0);
  clock.advance(10);
  assert.equal(loop.now(), 0);
  await settled(1);
  assert.equal(loop.now(), 10);
});
