import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { Bandwidth } from "../../src/limits/bandwidth/bandwidth.ts";
import { pacedInto, pipePaced } from "../../src/net/paced-stream.ts";
import { FakeClock } from "../support/clock.ts";

const KIB = 1024;

function setup() {
  const clock = new FakeClock();
  return { clock, pace: new Bandwidth(clock, { rate: 16 * KIB, burst: 16 * KIB }) };
}

test("octets pass at the pace, whole and in order, and the end behind them", async () => {
  const { clock, pace } = setup();
  const [from, to] = [new PassThrough(), new PassThrough()];
  pipePaced(from, to, pace);
  const sent = Buffer.from(Array.from({ length: 40 * KIB }, (_, at) => at % 251));
  const received: Buffer[] = [];
  to.on("data", (chunk: Buffer) => void received.push(chunk));
  from.end(sent);
  await clock.pass(0);
  assert.equal(Buffer.concat(received).length, 16 * KIB);
  await clock.pass(1000);
  assert.ok(Buffer.concat(received).length <= 32 * KIB);
  const ended = once(to, "end");
  await clock.pass(600);
  await ended;
  assert.deepEqual(Buffer.concat(received), sent);
  assert.equal(clock.pending, 0);
});

test("whoever writes more than may pass is told to wait, so that what is held is bounded", async () => {
  const { clock, pace } = setup();
  const paced = pacedInto(new PassThrough().resume(), pace);
  let written = 0;
  while (paced.write(Buffer.alloc(16 * KIB))) {
    written += 16 * KIB;
    await clock.pass(0);
    assert.ok(written <= 1024 * KIB, `${written} octets are held`);
  }
});

test("who is gone waits for nothing any more", async () => {
  const { clock, pace } = setup();
  const [from, to] = [new PassThrough(), new PassThrough()];
  pipePaced(from, to, pace);
  from.write(Buffer.alloc(32 * KIB));
  await clock.pass(0);
  assert.equal(pace.waiting, 1);
  to.destroy();
  await clock.pass(0);
  assert.equal(pace.waiting, 0);
  assert.equal(clock.pending, 0);
});
