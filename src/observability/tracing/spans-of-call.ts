import { clip } from "../../core/clip.ts";
import type { Call, Outcome } from "../../http/call.ts";
import { methodOf } from "../../http/call-match.ts";
import type { Fact } from "../../http/decision.ts";
import { Status, statusName } from "../../http/reason.ts";
import type { CallTrace } from "../../http/trace-context.ts";
import type { SpanRecord } from "./span.ts";

/** Statuses that a server's span shows as an error: the rest is the caller's doing (OpenTelemetry, RPC spans of gRPC). */
const SERVER_ERRORS: ReadonlySet<number> = new Set([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
]);

/** Decisions that are events of a span. */
const EVENTS: ReadonlySet<string> = new Set(["waits", "limit", "breaker", "retry", "notRetried", "hedge", "refused"]);

/** A call that has ended, and what its spans are made from. */
export interface SpanSource {
  readonly call: Call;
  readonly trace: CallTrace;
  readonly outcome: Outcome;
  /** What was decided about the call; empty where that was not kept. */
  readonly facts: readonly Fact[];
  /** Its id in the log and for `outrigger explain`. */
  readonly id: string;
  /** From milliseconds of the clock to those since the Unix epoch. */
  readonly wall: (at: number) => number;
  /** An id for a span that no attempt has. */
  readonly newSpanId: () => string;
  /** The application had a traced call under way and this call of it has no context. */
  readonly contextLost: boolean;
}

interface AttemptTimes {
  readonly number: number;
  readonly endpoint: string;
  readonly from: number;
  to: number;
  word: string;
}

/**
 * The spans of a call that is over. Inbound: one of the server. Outbound: one for each attempt, siblings below the caller's span;
 * where the trace begins here and there are several, below one of the call.
 */
export function spansOf(source: SpanSource): readonly SpanRecord[] {
  const { call, trace, facts } = source;
  if (call.direction === "inbound") return [whole(source, "server", trace.parentId, trace.spanIds[0])];
  const attempts = attemptsOf(facts);
  if (attempts.length === 0) return [whole(source, "client", trace.parentId, trace.spanIds[0])];
  const [first] = attempts;
  if (attempts.length === 1 && first !== undefined) {
    const span = whole(source, "client", trace.parentId, trace.spanIds[0]);
    return [{ ...span, attributes: { ...span.attributes, ...addressOf(first.endpoint) } }];
  }
  const root = trace.parentId === undefined ? whole(source, "internal", undefined, undefined) : undefined;
  const parent = root?.spanId ?? trace.parentId;
  const spans = attempts.map((attempt, at) => attemptSpan(source, attempt, parent, at === attempts.length - 1));
  return root === undefined ? spans : [root, ...spans];
}

/** Attempts that left, each with its times and the word for its end. */
function attemptsOf(facts: readonly Fact[]): readonly AttemptTimes[] {
  const attempts: AttemptTimes[] = [];
  for (const { decision, subject, value, at } of facts) {
    const word = typeof subject === "string" ? subject : "";
    if (decision === "attempt") attempts.push({ number: value, endpoint: word, from: at, to: at, word: "" });
    const ended = decision === "attemptEnded" ? attempts.find(({ number }) => number === value) : undefined;
    if (ended === undefined || ended.word !== "") continue;
    ended.to = at;
    ended.word = word;
  }
  return attempts;
}

/** One span for all of the call. */
function whole(
  source: SpanSource,
  kind: SpanRecord["kind"],
  parentId: string | undefined,
  spanId: string | undefined,
): SpanRecord {
  const { call, trace, outcome, facts, wall } = source;
  return {
    name: methodOf(call.path) || "unknown",
    kind,
    traceId: trace.traceId,
    spanId: spanId ?? source.newSpanId(),
    parentId,
    startedAt: wall(call.startedAt),
    endedAt: wall(call.endedAt),
    attributes: {
      ...attributesOf(source),
      "rpc.response.status_code": statusName(outcome.status),
      ...(outcome.reason === undefined ? {} : { "outrigger.reason": outcome.reason, "error.type": outcome.reason }),
      ...(outcome.reason === undefined && isError(kind, outcome.status)
        ? { "error.type": statusName(outcome.status) }
        : {}),
      "outrigger.origin": outcome.origin,
      "outrigger.attempts": call.attempts,
      ...(call.endpoint === undefined || kind !== "client" ? {} : addressOf(call.endpoint)),
    },
    events: eventsOf(facts, wall),
    error: isError(kind, outcome.status) ? (outcome.reason ?? statusName(outcome.status)) : undefined,
  };
}

function attemptSpan(
  source: SpanSource,
  attempt: AttemptTimes,
  parentId: string | undefined,
  last: boolean,
): SpanRecord {
  const { call, trace, outcome, wall } = source;
  // What the last one came to is what the call came to: a deadline, for instance, ends both.
  const word = last ? (outcome.reason ?? statusName(outcome.status)) : attempt.word;
  const ok = word === "OK";
  return {
    name: methodOf(call.path) || "unknown",
    kind: "client",
    traceId: trace.traceId,
    spanId: trace.spanIds[attempt.number - 1] ?? source.newSpanId(),
    parentId,
    startedAt: wall(attempt.from),
    endedAt: wall(last ? call.endedAt : attempt.to),
    attributes: {
      ...attributesOf(source),
      ...addressOf(attempt.endpoint),
      "rpc.grpc.previous_attempts": attempt.number - 1,
      ...(last ? { "rpc.response.status_code": statusName(outcome.status) } : {}),
      ...(ok ? {} : { "error.type": word, "outrigger.reason": word }),
    },
    events: [],
    error: ok ? undefined : word,
  };
}

function attributesOf({ call, id, contextLost }: SpanSource): Record<string, string | number> {
  return {
    "rpc.system.name": call.grpc ? "grpc" : "http",
    "rpc.method": methodOf(call.path) || "unknown",
    "network.protocol.name": "http",
    "network.protocol.version": "2",
    ...(call.direction === "inbound" ? { "client.address": call.peer } : {}),
    ...(call.identity === undefined ? {} : { "outrigger.peer.identity": call.identity }),
    "outrigger.direction": call.direction,
    "outrigger.upstream": call.upstream,
    "outrigger.call_id": id,
    ...(contextLost ? { "outrigger.propagation": "the application does not propagate" } : {}),
  };
}

/** `server.address` and `server.port` of HOST:PORT or unix:/path. */
function addressOf(endpoint: string): Record<string, string | number> {
  const match = /^(.*):(\d+)$/.exec(endpoint);
  if (match === null) return { "server.address": endpoint };
  return { "server.address": (match[1] ?? "").replace(/^\[|\]$/g, ""), "server.port": Number(match[2]) };
}

function isError(kind: SpanRecord["kind"], status: number): boolean {
  return kind === "server" ? SERVER_ERRORS.has(status) : status !== Status.OK;
}

function eventsOf(facts: readonly Fact[], wall: (at: number) => number): SpanRecord["events"] {
  return facts
    .filter(({ decision }) => EVENTS.has(decision))
    .map(({ decision, subject, at }) => ({
      name: typeof subject === "string" ? clip(`${decision}: ${subject}`) : decision,
      at: wall(at),
    }));
}
