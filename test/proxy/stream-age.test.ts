import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../src/core/deadlines.ts";
import { StreamAge, type StreamAgePolicy } from "../../src/proxy/stream-age.ts";
import { FakeClock } from "../support/clock.ts";

const policy: StreamAgePolicy = { applies: () => true, maxAge: 10_000, jitter: 0.1, status: 14, random: () => 0.5 };

function aged(random = 0.5): { clock: FakeClock; age: StreamAge; ended: () => number; say: (octets: Buffer) => void } {
  const clock = new FakeClock();
  let ended = 0;
  const age = new StreamAge({ ...policy, random: () => random }, new Deadlines(clock), clock.now(), () => {
    ended++;
  });
  return {
    clock,
    age,
    ended: () => ended,
    say: (octets) => age.passed(octets, 0, octets.length, clock.now()),
  };
}

/** Milliseconds that a deadline is noticed late at most. */
const TICK = 8;
/** A message of gRPC. */
const message = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);

test("a stream ends at its age, each a little earlier or later", () => {
  for (const [random, at] of [
    [0, 9000],
    [0.5, 10_000],
    [1, 11_000],
  ] as const) {
    const { clock, ended } = aged(random);
    clock.advance(at - 1);
    assert.equal(ended(), 0);
    clock.advance(TICK);
    assert.equal(ended(), 1);
  }
});

test("within a message it waits for the message's end, and does not end while that is being told", () => {
  const { clock, ended, say } = aged();
  say(message);
  say(message.subarray(0, 6));
  clock.advance(20_000);
  assert.equal(ended(), 0);
  say(message.subarray(6, 7));
  clock.advance(1000);
  assert.equal(ended(), 0);
  say(message.subarray(7));
  assert.equal(ended(), 0);
  clock.advance(2 * TICK);
  assert.equal(ended(), 1);
});

test("where the next message has begun before it could end, it waits for that one", () => {
  const { clock, ended, say } = aged();
  say(message.subarray(0, 6));
  clock.advance(10_000);
  say(message.subarray(6));
  say(message.subarray(0, 6));
  clock.advance(1000);
  assert.equal(ended(), 0);
  say(message.subarray(6));
  clock.advance(2 * TICK);
  assert.equal(ended(), 1);
});

test("a stream that has ended by itself is left alone", () => {
  const { clock, age, ended, say } = aged();
  age.stop();
  clock.advance(20_000);
  say(message);
  clock.advance(2 * TICK);
  assert.equal(ended(), 0);
  assert.equal(clock.pending, 0);
});
