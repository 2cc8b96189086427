import type { Logger } from "pino";
import type { Call } from "../http/call.ts";
import { readablePath } from "../http/call-match.ts";
import type { Reason } from "../http/reason.ts";

/** Records, for who asks and for the log, that a call is made again: why the attempt failed, and the proof that it is safe. */
export function madeAgain(call: Call, log: Logger, reason: Reason, proof: string): void {
  call.again("transparent");
  call.note("retry", proof, call.attempts + 1);
  const { direction, upstream, endpoint, path } = call;
  log.info({ direction, upstream, endpoint, path: readablePath(path), reason, proof }, "a call is made again");
}

/** Why what was provably not processed is not made again all the same. */
export const EXHAUSTED = "as many attempts as may be were made";
