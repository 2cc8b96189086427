import assert from "node:assert/strict";
import { test } from "node:test";
import { callerDeadline, policyDeadline } from "../../src/filters/deadline.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { makeCall } from "./make-call.ts";

/** The deadline of a call after the caller's word and then a policy's. */
function deadline(timeout: string | undefined, policy?: number, grpc = true) {
  const metadata: PlainField[] = timeout === undefined ? [] : [["grpc-timeout", timeout]];
  const call = makeCall(metadata, grpc);
  assert.equal(callerDeadline.onRequest?.(call), undefined);
  if (policy !== undefined) assert.equal(policyDeadline(policy).onRequest?.(call), undefined);
  return call.deadline;
}

test("the caller's deadline counts from the beginning of the call", () => {
  assert.deepEqual(deadline("250m"), { at: 1250, by: "caller" });
  assert.deepEqual(deadline("0n"), { at: 1000, by: "caller" });
});

test("without a lawful grpc-timeout there is none: none is invented", () => {
  for (const timeout of [undefined, "", "soon", "1.5S", "123456789m"]) assert.equal(deadline(timeout), undefined);
});

test("grpc-timeout is gRPC's, and means nothing in other calls", () => {
  assert.equal(deadline("250m", undefined, false), undefined);
  assert.deepEqual(deadline("250m", 500, false), { at: 1500, by: "policy" });
});

test("a policy shortens and never lengthens", () => {
  assert.deepEqual(deadline(undefined, 300), { at: 1300, by: "policy" });
  assert.deepEqual(deadline("250m", 300), { at: 1250, by: "caller" });
  assert.deepEqual(deadline("300m", 300), { at: 1300, by: "caller" });
  assert.deepEqual(deadline("301m", 300), { at: 1300, by: "policy" });
  assert.deepEqual(deadline("soon", 300), { at: 1300, by: "policy" });
});
