import type { Endpoint } from "../cluster/endpoint.ts";
import { type Failure, failure } from "../http/call.ts";
import { isGrpc, parseStatus, statusOfHttp, statusOfReset } from "../http/grpc.ts";
import { withAppended, withField } from "../http/head-edit.ts";
import type { Head } from "../http/headers.ts";
import { type Reason, reasons, Status } from "../http/reason.ts";
import type { Connection } from "../http2/connection.ts";
import { ErrorCode, errorCodeName } from "../http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../http2/stream.ts";
import type { Attempt } from "./attempt.ts";
import { lostConnection } from "./lost.ts";
import type { Proof } from "./proof.ts";

/**
 * The stream of an attempt, from the moment that its endpoint has a connection: sends the head, passes the answer on as it
 * comes, and says how it ended. The request's body comes from the attempt.
 *
 * Invariants: octets of the answer are released to the upstream when the caller's side has taken them, and not before;
 * the attempt hears of its end exactly once, after which this object tells it nothing any more.
 */
export class Forward implements StreamHandler {
  private readonly attempt: Attempt;
  readonly endpoint: Endpoint;
  private readonly connection: Connection;
  stream: Stream | undefined = undefined;
  private state: "waiting" | "answering" | "ended" = "waiting";
  private httpStatus = "";
  /** Octets of the request that the upstream has taken, for the request's body. */
  taken = 0;

  constructor(attempt: Attempt, endpoint: Endpoint, connection: Connection) {
    this.attempt = attempt;
    this.endpoint = endpoint;
    this.connection = connection;
  }

  /** The caller has seen a part of the answer: from here on no other attempt can take this one's place. */
  get committed(): boolean {
    return this.state !== "waiting";
  }

  /** Sends the request's head. */
  open(head: Head, end: boolean): void {
    this.stream = this.connection.openStream(head, end, this);
  }

  /** Stops the attempt: nobody waits for its answer any more. */
  cancel(code: ErrorCode): void {
    this.state = "ended";
    this.stream?.cancel(code);
  }

  // --- what the upstream says ---

  onInformational(head: Head): void {
    if (this.state === "waiting") this.attempt.host.passInformational(this.filtered(head), this.attempt);
  }

  onHead(head: Head, end: boolean): void {
    if (this.state !== "waiting") return;
    const { grpc } = this.attempt.host.call;
    const status = head.get(":status") ?? "";
    this.httpStatus = status;
    if (grpc && (status !== "200" || !isGrpc(head.get("content-type")))) {
      this.stream?.cancel(ErrorCode.CANCEL);
      const type = head.get("content-type") ?? "no content-type";
      this.fail(
        failure("NOT_GRPC", `the answer was HTTP ${status} with ${type}`, { status: statusOfHttp(Number(status)) }),
        undefined,
        head,
      );
      return;
    }
    if (end && this.connection.peer.sidecar && head.get("outrigger-unprocessed") === "1") {
      this.state = "ended";
      if (this.attempt.unprocessed(asReason(head.get("outrigger-reason")), head)) return;
    }
    this.state = "answering";
    this.attempt.answering();
    const passed = this.filtered(head);
    const { affinity } = this.endpoint;
    this.attempt.host.passHead(affinity === undefined ? passed : this.marked(passed), end, this.attempt);
    if (end) this.finish(head);
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    if (this.state !== "answering") {
      this.stream?.release(end - start);
      return;
    }
    this.attempt.arrived(end - start);
    this.stream?.release(this.attempt.host.passData(buffer, start, end, fin, this.attempt));
    if (fin) this.finish(undefined);
  }

  onTrailers(head: Head): void {
    if (this.state !== "answering") return;
    this.attempt.host.passTrailers(this.filtered(head), this.attempt);
    this.finish(head);
  }

  onSent(octets: number): void {
    this.attempt.host.body.taken(this, octets);
  }

  onAbort(abort: StreamAbort): void {
    if (this.state === "ended") {
      // The answer was complete before the request was: the upstream wants no more of it (RFC 9113 §8.1).
      this.attempt.host.upstreamGone(this.attempt);
      return;
    }
    this.fail(this.failureOf(abort), proofOf(abort));
  }

  /** Octets of the answer that had been queued have gone to the caller. */
  answerTaken(octets: number): void {
    this.stream?.release(octets);
  }

  private finish(head: Head | undefined): void {
    this.state = "ended";
    const { call } = this.attempt.host;
    const status = call.grpc
      ? parseStatus(head?.get("grpc-status"))
      : this.httpStatus < "400"
        ? Status.OK
        : statusOfHttp(Number(this.httpStatus));
    const reason = this.connection.peer.sidecar ? asReason(head?.get("outrigger-reason")) : undefined;
    const origin = reason === undefined ? "app" : "peer";
    this.attempt.answered({ status, reason, origin, detail: undefined }, head);
  }

  private fail(what: Failure, proof?: Proof, refusal?: Head): void {
    this.state = "ended";
    this.attempt.failed(what, proof, refusal);
  }

  /** Our own fields, when they come from somebody who is not one of us, are nobody's. */
  private filtered(head: Head): Head {
    const { edits } = this.attempt.host.services;
    return this.connection.peer.sidecar ? edits.consumed.apply(head) : edits.foreign.apply(head);
  }

  /** Where the upstream has session affinity the answer says how to come back to this endpoint. */
  private marked(head: Head): Head {
    const { call, services } = this.attempt.host;
    const field = this.endpoint.sessionField(call);
    if (field === undefined) return head;
    const [name, value] = field;
    // The application may set cookies of its own.
    if (name === "set-cookie") return withAppended(services.headers, head, name, value);
    return withField(services.headers, head, name, value);
  }

  private failureOf(abort: StreamAbort): Failure {
    switch (abort.kind) {
      case "unprocessed":
        return failure("GOAWAY_UNPROCESSED", "", { unprocessed: true });
      case "unsent":
        return failure(
          "CONNECT_FAILED",
          `the connection to ${this.endpoint.label} was lost before the call had left: ${abort.reason}`,
          { unprocessed: true },
        );
      case "lost":
        return lostConnection(this.endpoint, abort.reason);
      case "violation":
        // The one limit that a stream by itself can go over; the others end their connection.
        if (abort.code === ErrorCode.ENHANCE_YOUR_CALM)
          return failure("HEADERS_TOO_LARGE", `the answer has ${abort.reason}`);
        return failure("PROTOCOL", `${this.endpoint.label} broke the protocol: ${abort.reason}`);
      case "broken":
        return failure("PROTOCOL", `${this.endpoint.label} broke the protocol: ${abort.reason}`);
      case "reset":
        if (abort.code === ErrorCode.REFUSED_STREAM) return failure("REFUSED", "", { unprocessed: true });
        return (
          // A server that looks at the deadline itself may notice before we do. gRPC's own clients read its reset so, too.
          (abort.code === ErrorCode.CANCEL ? this.attempt.host.expired() : undefined) ?? {
            ...failure("RST_STREAM", "", { status: statusOfReset(abort.code) }),
            log: errorCodeName(abort.code),
          }
        );
    }
  }
}

/** How it is known that the peer has not processed a stream. */
function proofOf(abort: StreamAbort): Proof | undefined {
  if (abort.kind === "unsent") return "unsent";
  if (abort.kind === "unprocessed") return "goaway";
  return abort.kind === "reset" && abort.code === ErrorCode.REFUSED_STREAM ? "refused" : undefined;
}

function asReason(text: string | undefined): Reason | undefined {
  return text !== undefined && Object.hasOwn(reasons, text) ? (text as Reason) : undefined;
}
