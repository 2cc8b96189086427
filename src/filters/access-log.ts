import { peerService } from "../identity/spiffe.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { Filter } from "./filter.ts";

/** A line for each call that the log wants, with the facts that the metrics count. */
export function accessLog(log: AccessLog): Filter {
  return {
    name: "accessLog",
    onFinish(call, outcome, now) {
      if (!log.wants(outcome.status)) return;
      log.write({
        direction: call.direction,
        upstream: call.upstream,
        endpoint: call.endpoint,
        path: call.path,
        status: outcome.status,
        reason: outcome.reason,
        origin: outcome.origin,
        durationMs: now - call.startedAt,
        attempts: call.attempts,
        peer: call.peer,
        peerService: call.direction === "inbound" ? peerService(call.identity) : undefined,
        bytesReceived: call.bytesReceived,
        bytesSent: call.bytesSent,
        requestId: call.head.get("x-request-id"),
        traceparent: call.head.get("traceparent"),
        detail: outcome.detail,
      });
    },
  };
}
