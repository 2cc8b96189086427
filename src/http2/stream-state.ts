/**
 * The life of a stream, RFC 9113 §5.1. Push is never enabled, so the reserved states cannot occur.
 *
 *                  idle
 *                   | headers (either side)
 *                   v
 *                  open
 *     recv end /          \ send end
 *             v            v
 *   halfClosedRemote   halfClosedLocal
 *     send end |            | recv end
 *             v            v
 *                 closed          (a reset of either side leads here from everywhere but idle)
 */
export type StreamState = "idle" | "open" | "halfClosedLocal" | "halfClosedRemote" | "closed";
/** What moves a stream from one state to another (RFC 9113 §5.1). */
export type StreamEvent = "sendHeaders" | "recvHeaders" | "sendEnd" | "recvEnd" | "sendReset" | "recvReset";

/** The state after an event; undefined where the event may not happen in that state. */
export function transition(state: StreamState, event: StreamEvent): StreamState | undefined {
  switch (event) {
    case "sendHeaders":
      if (state === "idle") return "open";
      return state === "open" || state === "halfClosedRemote" ? state : undefined;
    case "recvHeaders":
      if (state === "idle") return "open";
      return state === "open" || state === "halfClosedLocal" ? state : undefined;
    case "sendEnd":
      if (state === "open") return "halfClosedLocal";
      return state === "halfClosedRemote" ? "closed" : undefined;
    case "recvEnd":
      if (state === "open") return "halfClosedRemote";
      return state === "halfClosedLocal" ? "closed" : undefined;
    case "sendReset":
    case "recvReset":
      return state === "idle" ? undefined : "closed";
  }
}
