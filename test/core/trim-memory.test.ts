import assert from "node:assert/strict";
import { test } from "node:test";
import { collectGarbage } from "../../src/core/collect-garbage.ts";
import { openMemoryTrim } from "../../src/core/trim-memory.ts";
import { eventually } from "../support/with-proxy.ts";

const COUNT = 6000;
const SIZE = 16_384;
const MIB = 1_048_576;

const resident = (): number => process.memoryUsage.rss() / MIB;

/** As a load of many small buffers leaves it: most are nobody's, and a few lie between them. */
function fillMost(): Buffer[] {
  const all = Array.from({ length: COUNT }, () => Buffer.allocUnsafeSlow(SIZE).fill(1));
  return all.filter((_, at) => at % 100 === 0);
}

test("memory between what is still in use goes back to the system", {
  skip: process.platform !== "linux",
}, async () => {
  const trim = await openMemoryTrim();
  assert.ok(typeof trim === "function", String(trim));
  const before = resident();
  const kept = fillMost();
  const most = (COUNT * SIZE) / MIB;
  assert.ok(resident() - before > most / 2, "the buffers are resident");
  await eventually(
    () => {
      collectGarbage();
      trim();
      return resident() - before < most / 2;
    },
    () => `resident memory to go back: ${before} MiB before, ${resident()} now`,
    20_000,
  );
  assert.ok(kept.every((buffer) => buffer[0] === 1));
});
