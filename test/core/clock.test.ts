import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../src/core/clock.ts";
import { runProcess } from "../support/process.ts";

test("the machine's clock goes forward and its timers run no sooner than asked", async () => {
  const began = systemClock.now();
  let ran = Number.NaN;
  systemClock.setTimer(20, () => {
    ran = systemClock.now();
  });
  await sleep(60);
  // Timers count whole milliseconds.
  assert.ok(ran - began >= 19, `${ran - began} ms`);
  assert.ok(Math.abs(systemClock.wall() - Date.now()) < 1000);
});

test("a timer that was cancelled does not run", async () => {
  let ran = false;
  const timer = systemClock.setTimer(5, () => {
    ran = true;
  });
  timer.cancel();
  timer.cancel();
  await sleep(20);
  assert.equal(ran, false);
});

test("a timer does not keep the process alive", async () => {
  const clock = new URL("../../src/core/clock.ts", import.meta.url).href;
  const code = `import { systemClock } from ${JSON.stringify(clock)}; systemClock.setTimer(60_000, () => {});`;
  const ended = await runProcess(process.execPath, ["--input-type=module", "--eval", code], { timeout: 20_000 });
  assert.equal(ended.code, 0);
});
