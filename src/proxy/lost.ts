import type { Endpoint } from "../cluster/endpoint.ts";
import { type Failure, failure } from "../http/call.ts";

/**
 * A call whose connection to its endpoint was lost under it. Of one that had left discovery before it is said: its instance was
 * going, and did not wait for the call's end; with TCP and WebSockets, which nobody can ask to end, that is what a drain comes to.
 */
export function lostConnection(endpoint: Endpoint, why: string): Failure {
  const left = endpoint.state.kind === "leaving" ? ", after it had left discovery" : "";
  return failure("UPSTREAM_LOST", `the connection to ${endpoint.label} was lost during the call${left}: ${why}`);
}
