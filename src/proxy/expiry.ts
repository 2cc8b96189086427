import { type Call, type Failure, failure } from "../http/call.ts";

/** What a call comes to whose deadline has passed: whose deadline it was, and how long it allowed. */
export function expiryOf({ deadline, startedAt, upstream }: Call): Failure {
  const by = deadline?.by ?? "caller";
  const ms = Math.round((deadline?.at ?? 0) - startedAt);
  const detail =
    by === "caller"
      ? `the caller's deadline of ${ms}ms has passed`
      : `the timeout of ${ms}ms configured for ${upstream} has passed`;
  return failure(by === "caller" ? "DEADLINE_CLIENT" : "DEADLINE_POLICY", detail);
}
