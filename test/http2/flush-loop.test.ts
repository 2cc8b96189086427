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

test("those who send much are read for less while connections come in, of which a turn takes one", async () => {
  const clock = new FakeClock();
  const loop = new FlushLoop(clock);
  let reads = 0;
  let over = false;
  loop.wait({
    readOn: () => {
      reads++;
      clock.advance(0.25);
      return over;
    },
  });
  /** How often it is read in the next turn, and for how long it may be. */
  const turn = async (): Promise<readonly [reads: number, quantum: number]> => {
    reads = 0;
    await settled(1);
    return [reads, loop.quantum];
  };
  assert.deepEqual(await turn(), [40, 2]);
  loop.countConnection();
  assert.deepEqual(await turn(), [2, 0.2]);
  assert.deepEqual(await turn(), [40, 2]);
  over = true;
  assert.deepEqual(await turn(), [1, 2]);
});
