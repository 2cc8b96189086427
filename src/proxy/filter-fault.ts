import type { Logger } from "pino";
import { type Call, type Failure, failure } from "../http/call.ts";
import { readablePath } from "../http/call-match.ts";

/** What a call comes to where a filter has thrown `error`: that is our own fault, and costs this call alone. */
export function filterFault({ direction, upstream, path }: Call, error: unknown, log: Logger): Failure {
  log.error({ err: error, direction, upstream, path: readablePath(path) }, "a fault of our own; the call is refused");
  return failure("INTERNAL", "a filter failed; the sidecar's log has the fault", { unprocessed: true });
}
