import assert from "node:assert/strict";
import { test } from "node:test";
import { HopelessCalls } from "../../src/filters/hopeless.ts";
import { Call } from "../../src/http/call.ts";
import { makeCall } from "./make-call.ts";

function setup() {
  const hopeless = new HopelessCalls();
  hopeless.enabled = true;
  const left = (ms: number, path?: string) => {
    const call = makeCall([], true, path);
    call.deadline = { at: call.startedAt + ms, by: "caller" };
    return hopeless.onRequest(call);
  };
  const answers = (count: number, ms: number, at = 0) => {
    for (let n = 0; n < count; n++) {
      const { direction, peer, head, path, grpc } = makeCall();
      hopeless.answered(new Call(direction, peer, head, path, grpc, at), at + ms);
    }
  };
  return { hopeless, left, answers };
}

test("a call with less time than the fastest answer of its method took is refused", async () => {
  const { hopeless, left, answers } = setup();
  answers(19, 50);
  assert.equal(left(10), undefined, "of a few answers nothing is known");
  answers(1, 40);
  assert.equal((await left(39))?.reason, "DEADLINE_HOPELESS");
  assert.equal(left(40), undefined);
  assert.equal(left(1, "/other.Other/Method"), undefined);
  assert.equal(hopeless.refused, 1);
  hopeless.enabled = false;
  assert.equal(left(1), undefined);
});

test("what was fast long ago is forgotten", async () => {
  const { left, answers } = setup();
  answers(20, 10);
  answers(20, 50, 11_000);
  assert.equal(left(20), undefined, "the last half of the window still has it");
  answers(20, 50, 22_000);
  assert.equal((await left(20))?.reason, "DEADLINE_HOPELESS");
});
