import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageBoundary } from "../../src/proxy/message-boundary.ts";
import { message } from "../support/raw-call.ts";

/** After which octets a flow is between two messages. */
function boundaries(flow: Buffer, step: number): number[] {
  const boundary = new MessageBoundary();
  const found: number[] = [];
  for (let at = 0; at < flow.length; at += step) {
    boundary.passed(flow, at, Math.min(flow.length, at + step));
    if (boundary.between) found.push(Math.min(flow.length, at + step));
  }
  return found;
}

test("a flow is between two messages before the first and after each, however its octets come", () => {
  assert.equal(new MessageBoundary().between, true);
  const flow = Buffer.concat([message("one"), message(""), message(Buffer.alloc(300))]);
  assert.deepEqual(boundaries(flow, 1), [8, 13, 318]);
  assert.deepEqual(boundaries(flow, 8), [8, 318]);
  assert.deepEqual(boundaries(flow, 318), [318]);
  assert.deepEqual(boundaries(flow.subarray(0, 317), 317), []);
});
