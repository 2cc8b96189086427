import type { Logger } from "pino";
import { clip } from "../core/clip.ts";
import { Sparing } from "../core/sparing.ts";
import type { Call } from "../http/call.ts";
import { methodOf } from "../http/call-match.ts";
import { type Direction, type Origin, type Reason, Status, statusName } from "../http/reason.ts";
import { milliseconds, type Phases } from "./explain/phases.ts";

/** What `log.access` may say. */
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
  readonly protocol: "grpc" | Call["protocol"];
  /** The route that was chosen, "" where none was. */
  readonly route: string;
  /** `:path`. */
  readonly path: string;
  /** Of a call that is no gRPC: `:method`, and the status of the answer, 0 where there was none. */
  readonly httpMethod: string | undefined;
  readonly httpStatus: number;
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly origin: Origin;
  readonly durationMs: number;
  readonly phases: Phases;
  readonly attempts: number;
  /** Who called, as an address for people. */
  readonly peer: string;
  /** Whose sidecar called, of a call that came in: a service, an id of another form, or `unauthenticated`. */
  readonly peerService: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** `x-request-id`, where the caller sent one. */
  readonly requestId: string | undefined;
  readonly traceId: string | undefined;
  /** What `outrigger explain` knows it by. */
  readonly callId: string;
  /** `:authority`, as the caller wrote it. */
  readonly authority: string | undefined;
  /** The verified SPIFFE id of the caller. */
  readonly identity: string | undefined;
  /** Milliseconds of its deadline, from its head on. */
  readonly deadlineMs: number | undefined;
  /** What only the log says of a failure. */
  readonly detail: string | undefined;
}

/** Facts of a line that can be left out of it: what may say who somebody is. */
export const redactable = ["peer", "peer_service", "identity", "method", "authority", "request_id", "detail"] as const;

/** What `log.redact` may name. */
export type Redactable = (typeof redactable)[number];

/** `log`, as far as it is about calls. */
export interface AccessRules {
  readonly mode: AccessMode;
  /** Share of the calls that ended with OK which have a line, with `all`. */
  readonly sampling: number;
  /** Milliseconds to the head of the answer from which on a call has a line, whatever the mode. */
  readonly slow: number | undefined;
  /** Lines a second of slow calls and failures that the mode leaves out. */
  readonly limit: number;
  readonly redact: readonly Redactable[];
}

/** What the access log needs. */
export interface AccessServices {
  /** Milliseconds of the clock. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** How people call a call, to ask why it went as it did. */
  idOf(call: Call): string;
}

/** Statuses of an application that say that something is broken, and not that the caller asked for what cannot be. */
const BROKEN: ReadonlySet<number> = new Set([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
]);

/** One line a call. Where `wants` says no it costs some comparisons. */
export class AccessLog {
  private readonly logger: Logger;
  private readonly services: AccessServices;
  /** May be changed at any time. */
  rules: AccessRules;
  private readonly sparing: Sparing;

  constructor(logger: Logger, rules: AccessRules, services: AccessServices) {
    this.logger = logger;
    this.rules = rules;
    this.services = services;
    this.sparing = new Sparing(() => services.now());
  }

  idOf(call: Call): string {
    return this.services.idOf(call);
  }

  /** Whether a call has a line. `waited`: milliseconds to the head of its answer, or to its end where none came. */
  wants(status: number, reason: Reason | undefined, waited: number): boolean {
    const { mode, sampling, slow, limit } = this.rules;
    if (status === 0 ? mode === "all" && (sampling >= 1 || this.services.random() < sampling) : mode !== "none")
      return true;
    if (slow !== undefined && waited >= slow) return this.sparing.allows(limit);
    return (reason !== undefined || BROKEN.has(status)) && this.sparing.allows(limit);
  }

  write(record: AccessRecord): void {
    const { deciding, reaching, upstream, answering } = record.phases;
    const fields: Record<string, unknown> = {
      call_id: record.callId,
      trace_id: record.traceId,
      direction: record.direction,
      upstream: record.upstream,
      endpoint: record.endpoint,
      authority: record.authority === undefined ? undefined : clip(record.authority),
      protocol: record.protocol,
      route: record.route === "" ? undefined : record.route,
      method: methodOf(record.path),
      http_method: record.httpMethod === undefined ? undefined : clip(record.httpMethod),
      http_status: record.httpStatus === 0 ? undefined : record.httpStatus,
      grpc_status: statusName(record.status),
      reason: record.reason,
      origin: record.origin,
      duration_ms: milliseconds(record.durationMs),
      deciding_ms: deciding,
      reaching_ms: reaching,
      upstream_ms: upstream,
      answering_ms: answering,
      deadline_ms: record.deadlineMs === undefined ? undefined : milliseconds(record.deadlineMs),
      attempts: record.attempts,
      peer: record.peer,
      peer_service: record.peerService,
      identity: record.identity,
      bytes_received: record.bytesReceived,
      bytes_sent: record.bytesSent,
      request_id: record.requestId === undefined ? undefined : clip(record.requestId),
      detail: record.detail === undefined ? undefined : clip(record.detail),
    };
    for (const name of this.rules.redact) if (fields[name] !== undefined) fields[name] = "***";
    fields.suppressed = this.sparing.takeLeftOut();
    this.logger.info(fields, "call");
  }
}
