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

/** The same for a call whose deadline has passed at `now`, whoever noticed it first; undefined while it has not. */
export function expired(call: Call, now: number): Failure | undefined {
  const at = call.deadline?.at;
  return at !== undefined && at <= now ? expiryOf(call) : undefined;
}

/** What a call comes to that has waited for as long as one may, in milliseconds. `why`: what it waited for has not come. */
export function waitedTooLong({ upstream }: Call, time: number, why: string): Failure {
  const detail = `the call waited ${time / 1000}s for ${upstream || "a lookup"}: ${why}`;
  return failure("NO_ENDPOINTS", detail, { unprocessed: true });
}
