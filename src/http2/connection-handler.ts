import type { Head } from "../http/headers.ts";
import type { CloseCause } from "./close-cause.ts";
import type { ErrorCode } from "./errors.ts";
import type { Stream } from "./stream.ts";

/** Who listens to a connection. */
export interface ConnectionHandler {
  /** Server only: a request, whose handler is set before this returns. `tooLarge`: `head` is what of it fitted the limit. */
  onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void;
  /** Server only: a request that breaks a rule was reset before it came to `onStream` (RFC 9113 §8.1.1). */
  onMalformed?(reason: string): void;
  /** Another stream can perhaps be opened now: one has ended, or the peer's settings came. */
  onCapacity(): void;
  /** No more streams can be opened: the peer said so, or the connection is used up. Perhaps called more than once. */
  onGoaway(code: ErrorCode, debug: string): void;
  /** Called once; every stream has been told before. */
  onClose(cause: CloseCause): void;
  /** A fault of our own: the connection is closed with INTERNAL_ERROR. */
  onFault(error: unknown): void;
}
