import { parseTimeout } from "../http/grpc.ts";
import type { Filter } from "./filter.ts";

/**
 * Reads the caller's deadline. The clock starts with the first octet of the head, not with the end of the request. A
 * malformed grpc-timeout is left to the application, which is who defines what it means.
 */
export const callerDeadline: Filter = {
  name: "callerDeadline",
  onRequest(call) {
    if (!call.grpc) return undefined;
    const text = call.head.get("grpc-timeout");
    const timeout = text === undefined ? undefined : parseTimeout(text);
    if (timeout !== undefined) call.deadline = { at: call.startedAt + timeout, by: "caller" };
    return undefined;
  },
};

/** Shortens the deadline by an upstream's configured timeout; never lengthens what the caller asked for. */
export function policyDeadline(timeout: number): Filter {
  return {
    name: "policyDeadline",
    onRequest(call) {
      const at = call.startedAt + timeout;
      if (call.deadline === undefined || at < call.deadline.at) call.deadline = { at, by: "policy" };
      return undefined;
    },
  };
}
