import { type Failure, failure } from "../http/call.ts";
import type { Direction, Reason } from "../http/reason.ts";

/** Who is told the values of a limit: those who are known, everybody, or nobody. */
export type ToldTo = "known" | "all" | "pushback";

/** Whether this caller is. Known is the application beside the sidecar, and whose identity is verified. */
export function isTold(
  to: ToldTo,
  { direction, identity }: { readonly direction: Direction; readonly identity: string | undefined },
): boolean {
  return to === "all" || (to === "known" && (direction === "outbound" || identity !== undefined));
}

/** Why a limit lets a call not pass, and when it might. */
export interface LimitRefusal {
  readonly reason: Extract<Reason, "RATE_LIMIT" | "CONCURRENCY" | "OVERLOAD">;
  /** Which limit, and its value. */
  readonly detail: string;
  /** Milliseconds after which another try makes sense. */
  readonly wait: number;
  /** Another instance may well take the call: the limit is of this one alone. */
  readonly elsewhere: boolean;
  readonly fields?: Failure["fields"];
}

/**
 * How a call over a limit is refused, whichever limit it is: RESOURCE_EXHAUSTED, and when to come again. UNAVAILABLE would
 * have callers try again at once, and with that make the load worse.
 */
export function overLimit({ reason, detail, wait, elsewhere, fields = [] }: LimitRefusal): Failure {
  return failure(reason, detail, {
    unprocessed: elsewhere,
    fields: [
      // gRFC A6, "Pushback": a caller that retries waits for so long.
      ["grpc-retry-pushback-ms", String(Math.max(1, Math.ceil(wait)))],
      ...fields,
    ],
  });
}

/** What HTTP clients look for. `reset` in milliseconds. */
export function rateLimitFields(limit: number, remaining: number, reset: number): NonNullable<Failure["fields"]> {
  const seconds = String(Math.max(1, Math.ceil(reset / 1000)));
  return [
    ["retry-after", seconds],
    ["x-ratelimit-limit", String(limit)],
    ["x-ratelimit-remaining", String(remaining)],
    ["x-ratelimit-reset", seconds],
  ];
}
