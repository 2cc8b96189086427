import assert from "node:assert/strict";
import { test } from "node:test";
import { collectGarbage } from "../../src/core/collect-garbage.ts";
import { eventually } from "../support/with-proxy.ts";

const SIZE = 64 * 1_048_576;

/** Returns what is held outside of the heap while a buffer is there that nobody has afterwards. */
function withBuffer(): number {
  const buffer = Buffer.alloc(SIZE, 1);
  return buffer.length > 0 ? process.memoryUsage().arrayBuffers : 0;
}

test("memory of buffers that nobody has any more goes back, and nothing of this is seen by the program", async () => {
  const during = withBuffer();
  collectGarbage();
  // Another thread of V8's gives back what was found to be nobody's.
  await eventually(
    () => process.memoryUsage().arrayBuffers <= during - SIZE,
    () => `the buffer to go: ${process.memoryUsage().arrayBuffers} of ${during}`,
    20_000,
  );
  assert.equal("gc" in globalThis, false);
});
