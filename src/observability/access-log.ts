import type { Logger } from "pino";
import { type Direction, type Origin, type Reason, statusName } from "../http/reason.ts";

export const accessModes = ["all", "errors", "none"] as const;

/** Which calls have a line: every one, those that did not end with OK, none. */
export type AccessMode = (typeof accessModes)[number];

/** A call that is over, as its line has it. Assembled only where `wants` said so. */
export interface AccessRecord {
  readonly direction: Direction;
  /** "" where the call reached none. */
  readonly upstream: string;
  /** The address that the last attempt went to. */
  readonly endpoint: string | undefined;
  /** `:path`. */
  readonly path: string;
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly origin: Origin;
  readonly durationMs: number;
  readonly attempts: number;
  /** Who called, as an address for people. */
  readonly peer: string;
  /** Whose sidecar called, of a call that came in: a service, an id of another form, or `unauthenticated`. */
  readonly peerService: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** `x-request-id`, where the caller sent one. */
  readonly requestId: string | undefined;
  /** `traceparent`, where the caller sent one; its trace id goes into the line. */
  readonly traceparent: string | undefined;
  /** What only the log says of a failure. */
  readonly detail: string | undefined;
}

/** Characters of a text that a stranger chose. */
const LONGEST = 256;

const traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/;

/** One line a call. Where `wants` says no it costs a comparison. */
export class AccessLog {
  private readonly logger: Logger;
  /** May be changed at any time. */
  mode: AccessMode;

  constructor(logger: Logger, mode: AccessMode) {
    this.logger = logger;
    this.mode = mode;
  }

  wants(status: number): boolean {
    return this.mode === "all" || (status !== 0 && this.mode === "errors");
  }

  write(record: AccessRecord): void {
    this.logger.info(
      {
        direction: record.direction,
        upstream: record.upstream,
        endpoint: record.endpoint,
        method: clip(methodOf(record.path)),
        grpc_status: statusName(record.status),
        reason: record.reason,
        origin: record.origin,
        duration_ms: Math.round(record.durationMs * 1000) / 1000,
        attempts: record.attempts,
        peer: record.peer,
        peer_service: record.peerService,
        bytes_received: record.bytesReceived,
        bytes_sent: record.bytesSent,
        request_id: record.requestId === undefined ? undefined : clip(record.requestId),
        trace_id: traceId.exec(record.traceparent ?? "")?.[1],
        detail: record.detail === undefined ? undefined : clip(record.detail),
      },
      "call",
    );
  }
}

function clip(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}

/** Without the slash at its start, and without a query, which may hold what no log should. */
function methodOf(path: string): string {
  const query = path.indexOf("?");
  return path.slice(path.startsWith("/") ? 1 : 0, query < 0 ? undefined : query);
}
