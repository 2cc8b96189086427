import type { Address } from "../core/address.ts";
import { type CallMeter, FurtherAttempts } from "./call-meter.ts";
import { type CallerShare, ourselves } from "./callers.ts";
import type { Decision, Explainer, Fact, Recorder } from "./decision.ts";
import type { FieldChange } from "./field-change.ts";
import type { Head } from "./headers.ts";
import { type Direction, type Origin, type Reason, reasons } from "./reason.ts";
import type { CallToken } from "./token.ts";
import type { CallTrace } from "./trace-context.ts";

/** A refusal or failure that the proxy itself answers with. */
export interface Failure {
  readonly reason: Reason;
  /** For callers who may know: names, values, addresses. A stranger reads the reason's fixed text. */
  readonly detail: string;
  /** The gRPC status; the reason's own unless the table says that it depends. */
  readonly status: number;
  /** The application provably did not see the call. */
  readonly unprocessed: boolean;
  /** What only the log says. */
  readonly log?: string;
  /** Further fields of the answer, such as `grpc-retry-pushback-ms`: lower-case names, no pseudo-header fields. */
  readonly fields?: readonly (readonly [name: string, value: string])[];
  /**
   * What somebody whom the operator has decide says to the caller, whoever that is. Where it does not speak gRPC `http` is the
   * status and `type` the content type.
   */
  readonly said?: { readonly http: number; readonly text: string; readonly type?: string | undefined };
}

/** A failure of our own, with the status of its reason, and taken for processed, unless `options` say otherwise. */
export function failure(
  reason: Reason,
  detail: string,
  options: Partial<Pick<Failure, "status" | "unprocessed" | "log" | "fields" | "said">> = {},
): Failure {
  return {
    reason,
    detail,
    status: options.status ?? reasons[reason].status,
    unprocessed: options.unprocessed ?? false,
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.fields === undefined ? {} : { fields: options.fields }),
    ...(options.said === undefined ? {} : { said: options.said }),
  };
}

/** How a call ended: one value for log, metric and span. */
export interface Outcome {
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly origin: Origin;
  /** Of a call that ended without an answer of the application: what befell it, for the log. */
  readonly detail: string | undefined;
}

/** What a call takes up while it is under way, and gives back at its end. */
export interface Place {
  giveBack(call: Call, outcome: Outcome): void;
}

/**
 * One exchange: a request and its answer. Filters read it and say what becomes of it; it has no sockets and no frames.
 */
export class Call {
  readonly direction: Direction;
  /** Who sent it, as an address for people. */
  readonly peer: string;
  /** The request's head, as it will be sent on. */
  head: Head;
  /** As it came, where routes may have edited it since. */
  headBefore: Head | undefined = undefined;
  readonly path: string;
  readonly grpc: boolean;
  /** Milliseconds of the clock. */
  readonly startedAt: number;
  /** The verified identity of who called, a SPIFFE id; undefined where the connection has none, as a plaintext one never has. */
  identity: string | undefined = undefined;
  /** What its caller has of that which callers share. */
  caller: CallerShare = ourselves;
  /** Its verified token; undefined where it has none, or none was looked for. */
  token: CallToken | undefined = undefined;
  /** Where its connection was going before it was redirected to us; undefined: nowhere else. */
  destination: Address | undefined = undefined;
  /** The address of this machine that its connection came to; undefined where nobody asks for it, or there is none. */
  local: Address | undefined = undefined;
  /** The name that its caller's TLS asked for (SNI). */
  serverName: string | undefined = undefined;
  protocol: "http2" | "http1" | "tcp" = "http2";
  /** A WebSocket over HTTP/2: it came as an extended CONNECT, and its head is the GET that stands for it. */
  webSocket = false;
  /** What stands for its method in metrics, where that is not its path: as a path, of a set that strangers cannot extend. */
  label: string | undefined = undefined;
  /** The status of an answer in HTTP/1.1; 0 where there is none. */
  httpStatus = 0;
  /** The name of the upstream, once known; "" until then. */
  upstream = "";
  /** The name of the route that was chosen for it, of those of its upstream; "" where none was. */
  route = "";
  /** Milliseconds of the clock by which the call has to be over, and who said so. */
  deadline: { readonly at: number; readonly by: "caller" | "policy" } | undefined = undefined;
  /** The address that the last attempt went to. */
  endpoint: string | undefined = undefined;
  attempts = 0;
  /** What is done to the head of its answer, for a filter that wants it so. */
  answerFields: readonly FieldChange[] | undefined = undefined;
  /** Its place under a learned limit. */
  place: Place | undefined = undefined;
  bytesReceived = 0;
  bytesSent = 0;
  /** Milliseconds of the clock: its filters had decided, the last attempt left, its answer began, it ended. 0 until then. */
  decidedAt = 0;
  sentAt = 0;
  answeredAt = 0;
  endedAt = 0;
  /** How it ended; undefined until then. */
  outcome: Outcome | undefined = undefined;
  /** Its number in this process, from 1 on; 0 where nobody records. */
  id = 0;
  recorder: Recorder | undefined = undefined;
  meter: CallMeter | undefined = undefined;
  /** Of its attempts those after the first; undefined: there were none. */
  further: FurtherAttempts | undefined = undefined;
  /** The trace that it is a part of, where there is one that this sidecar has to do with. */
  trace: CallTrace | undefined = undefined;
  /** A trace could have begun here and does not: the next hop is told, so that none begins there either. */
  untraced = false;
  /** What was decided about it, where that is wanted at its end; the recorder forgets. */
  facts: Fact[] | undefined = undefined;
  /** Its caller reads in the answer's trailers what was decided. */
  explained = false;

  constructor(direction: Direction, peer: string, head: Head, path: string, grpc: boolean, startedAt: number) {
    this.direction = direction;
    this.peer = peer;
    this.head = head;
    this.path = path;
    this.grpc = grpc;
    this.startedAt = startedAt;
  }

  /** Counts an attempt after the first, which leaves `delay` milliseconds after the one before had ended. */
  again(kind: "retries" | "hedges" | "transparent", delay = 0): void {
    this.further ??= new FurtherAttempts();
    this.further[kind]++;
    this.further.delay += delay;
  }

  /** Records a decision about this call: see `Decision` for what to say. */
  note(decision: Decision, subject: string | Explainer, value = 0, bound = 0): void {
    this.recorder?.note(this, decision, subject, value, bound);
  }
}
