import assert from "node:assert/strict";
import { test } from "node:test";
import { follow } from "../../src/core/follow.ts";
import { FakeClock } from "../support/clock.ts";

test("each query asks for another index than the last answer had, and from the beginning after a failure or a step back", async () => {
  const stopped = new AbortController();
  const asked: bigint[] = [];
  const kept: bigint[] = [];
  const answers = [5n, 9n, 3n, 4n];
  await follow({
    ask: async (index) => {
      asked.push(index);
      const next = answers.shift();
      if (next === undefined) {
        stopped.abort();
        throw new Error("it is over");
      }
      return { index: next };
    },
    keep: ({ index }) => void kept.push(index),
    failed: () => true,
    clock: new FakeClock(),
    random: () => 0,
    signal: stopped.signal,
  });
  assert.deepEqual(asked, [0n, 5n, 9n, 0n, 4n]);
  assert.deepEqual(kept, [5n, 9n, 3n, 4n]);
});

test("pauses grow while queries fail, and end with the signal", async () => {
  const clock = new FakeClock();
  const stopped = new AbortController();
  let asked = 0;
  const done = follow({
    ask: () => {
      asked++;
      return Promise.reject(new Error("no"));
    },
    keep: () => assert.fail("there is no answer"),
    failed: () => true,
    clock,
    random: () => 1,
    signal: stopped.signal,
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await settle();
  assert.equal(asked, 1);
  clock.advance(350);
  await settle();
  assert.equal(asked, 2);
  clock.advance(350);
  await settle();
  assert.equal(asked, 2);
  clock.advance(250);
  await settle();
  assert.equal(asked, 3);
  stopped.abort();
  await done;
});
