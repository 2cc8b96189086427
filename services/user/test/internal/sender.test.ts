import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { senderTo } from "../../internal/sender.ts";

/** A call that writes a message when the test says so. */
class HeldCall {
  readonly #written: (() => void)[] = [];
  readonly messages: number[] = [];

  write(message: number, written: () => void): boolean {
    this.messages.push(message);
    this.#written.push(written);
    return true;
  }

  flush(): void {
    this.#written.shift()?.();
  }
}

function observed(promise: Promise<void>): { state: string } {
  const seen = { state: "pending" };
  promise.then(
    () => (seen.state = "resolved"),
    (error: unknown) => (seen.state = String(error)),
  );
  return seen;
}

const turn = () => new Promise(setImmediate);

describe("a sender", () => {
  it("lets two messages wait and holds back whoever sends a third, until one is written", async () => {
    const call = new HeldCall();
    const send = senderTo(call, new AbortController().signal);
    const sent = [1, 2, 3].map((message) => observed(send(message)));
    await turn();
    assert.deepEqual(
      sent.map(({ state }) => state),
      ["resolved", "resolved", "pending"],
    );
    call.flush();
    await turn();
    assert.deepEqual(
      sent.map(({ state }) => state),
      ["resolved", "resolved", "resolved"],
    );
    assert.deepEqual(call.messages, [1, 2, 3]);
  });

  it("holds back all of several users at once, and lets them all go on", async () => {
    const call = new HeldCall();
    const send = senderTo(call, new AbortController().signal);
    const sent = [1, 2, 3, 4].map((message) => observed(send(message)));
    call.flush();
    await turn();
    assert.deepEqual(
      sent.slice(2).map(({ state }) => state),
      ["pending", "pending"],
    );
    call.flush();
    await turn();
    assert.deepEqual(
      sent.slice(2).map(({ state }) => state),
      ["resolved", "resolved"],
    );
  });

  it("rejects whoever waits, and all who come later, when the call is over", async () => {
    const call = new HeldCall();
    const over = new AbortController();
    const send = senderTo(call, over.signal);
    const sent = [1, 2, 3].map((message) => observed(send(message)));
    over.abort(new Error("gone"));
    sent.push(observed(send(4)));
    await turn();
    assert.deepEqual(
      sent.map(({ state }) => state),
      ["resolved", "resolved", "Error: gone", "Error: gone"],
    );
    assert.deepEqual(call.messages, [1, 2, 3]);
  });
});
