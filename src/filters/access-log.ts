import { traceContextOf } from "../http/trace-context.ts";
import { peerService } from "../identity/spiffe.ts";
import type { AccessLog } from "../observability/access-log.ts";
import { phasesOf } from "../observability/explain/phases.ts";
import type { Filter } from "./filter.ts";

/** A line for each call that the log wants, with the facts that the metrics count. */
export function accessLog(log: AccessLog): Filter {
  return {
    name: "accessLog",
    onFinish(call, outcome, now) {
      const waited = (call.answeredAt === 0 ? now : call.answeredAt) - call.startedAt;
      if (!log.wants(outcome.status, outcome.reason, waited)) return;
      log.write({
        callId: log.idOf(call),
        traceId: call.trace?.traceId ?? traceContextOf(call.head)?.traceId,
        direction: call.direction,
        upstream: call.upstream,
        endpoint: call.endpoint,
        protocol: call.grpc ? "grpc" : call.protocol,
        route: call.route,
        path: call.path,
        httpMethod: call.grpc ? undefined : call.head.get(":method"),
        httpStatus: call.httpStatus,
        authority: call.head.get(":authority"),
        status: outcome.status,
        reason: outcome.reason,
        origin: outcome.origin,
        durationMs: now - call.startedAt,
        phases: phasesOf(call),
        deadlineMs: call.deadline === undefined ? undefined : call.deadline.at - call.startedAt,
        attempts: call.attempts,
        peer: call.peer,
        peerService: call.direction === "inbound" ? peerService(call.identity) : undefined,
        identity: call.identity,
        bytesReceived: call.bytesReceived,
        bytesSent: call.bytesSent,
        requestId: call.head.get("x-request-id"),
        detail: outcome.detail,
      });
    },
  };
}
