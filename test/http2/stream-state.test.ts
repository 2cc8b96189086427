import assert from "node:assert/strict";
import { test } from "node:test";
import { type StreamEvent, type StreamState, transition } from "../../src/http2/stream-state.ts";

const refused = undefined;

/**
 * The diagram of RFC 9113 §5.1 as a table: what follows in each state from each event, without the reserved states, as push is
 * never enabled. Headers that leave a state as it is are trailers, or a final head after interim ones.
 */
const diagram: Readonly<Record<StreamState, Readonly<Record<StreamEvent, StreamState | undefined>>>> = {
  idle: {
    sendHeaders: "open",
    recvHeaders: "open",
    sendEnd: refused,
    recvEnd: refused,
    sendReset: refused,
    recvReset: refused,
  },
  open: {
    sendHeaders: "open",
    recvHeaders: "open",
    sendEnd: "halfClosedLocal",
    recvEnd: "halfClosedRemote",
    sendReset: "closed",
    recvReset: "closed",
  },
  halfClosedLocal: {
    sendHeaders: refused,
    recvHeaders: "halfClosedLocal",
    sendEnd: refused,
    recvEnd: "closed",
    sendReset: "closed",
    recvReset: "closed",
  },
  halfClosedRemote: {
    sendHeaders: "halfClosedRemote",
    recvHeaders: refused,
    sendEnd: "closed",
    recvEnd: refused,
    sendReset: "closed",
    recvReset: "closed",
  },
  closed: {
    sendHeaders: refused,
    recvHeaders: refused,
    sendEnd: refused,
    recvEnd: refused,
    sendReset: "closed",
    recvReset: "closed",
  },
};

for (const [state, row] of Object.entries(diagram) as [StreamState, (typeof diagram)[StreamState]][]) {
  for (const [event, next] of Object.entries(row) as [StreamEvent, StreamState | undefined][]) {
    test(`${event} in ${state} leads to ${next ?? "nowhere"}`, () => {
      assert.equal(transition(state, event), next);
    });
  }
}
