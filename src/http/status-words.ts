import { Status } from "./reason.ts";

/** The gRPC statuses that a call can fail with, as a configuration writes them: `unavailable`, `deadlineExceeded`. */
export const statusWords = [
  "cancelled",
  "unknown",
  "invalidArgument",
  "deadlineExceeded",
  "notFound",
  "alreadyExists",
  "permissionDenied",
  "resourceExhausted",
  "failedPrecondition",
  "aborted",
  "outOfRange",
  "unimplemented",
  "internal",
  "unavailable",
  "dataLoss",
  "unauthenticated",
] as const;

/** How the configuration names a status of gRPC. */
export type StatusWord = (typeof statusWords)[number];

/** The number of a word. */
export function statusOf(word: StatusWord): number {
  return statusWords.indexOf(word) + Status.CANCELLED;
}
