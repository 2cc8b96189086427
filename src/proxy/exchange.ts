import type { Endpoint } from "../cluster/endpoint.ts";
import type { Deadline } from "../core/deadlines.ts";
import { callerDeadline } from "../filters/deadline.ts";
import { type Call, type Failure, failure, type Outcome } from "../http/call.ts";
import { formatTimeout } from "../http/grpc.ts";
import { withField } from "../http/head-edit.ts";
import type { Head } from "../http/headers.ts";
import { type Reason, Status } from "../http/reason.ts";
import type { Connection } from "../http2/connection.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../http2/stream.ts";
import { type AttemptOwner, Attempts } from "./attempts.ts";
import { Forward } from "./forward.ts";
import { countedHead } from "./hops.ts";
import { type Proof, proofs } from "./proof.ts";
import { RequestBody } from "./request-body.ts";
import type { ExchangeServices } from "./services.ts";
import type { Router, Target, Unrouted } from "./target.ts";

/**
 * One call, from its head to its end: the caller's stream on one side, attempts at an upstream on the other.
 *
 *   deciding -> waiting -> forwarding -> answered -> over
 *
 * Each state may be skipped forward; a refusal goes from any of the first three to "answered". "answered": the caller has the
 * whole answer and may still be sending. "over": neither side owes the other anything.
 *
 * Invariants:
 * - the chain's `onFinish` runs exactly once, on entering "answered" or when the caller gives up before;
 * - octets of the request are released to the caller when the upstream's stream has taken them, and not before;
 * - what is held while waiting is charged to the waiting room, and given back once.
 */
export class Exchange implements StreamHandler, AttemptOwner {
  readonly call: Call;
  readonly services: ExchangeServices;
  /** The caller is one of us, and knows others whom it can ask. */
  fromSidecar = false;
  /** Sidecars that the call has come through, one after the other; see `hops.ts`. */
  hops = 0;
  protected readonly down: Stream;
  private readonly unrouted: Unrouted;
  private state: "deciding" | "waiting" | "forwarding" | "answered" | "over" = "deciding";
  private router: Router | undefined = undefined;
  private target: Target | undefined = undefined;
  private attempts: Attempts | undefined = undefined;
  private forward: Forward | undefined = undefined;
  private deadline: Deadline | undefined = undefined;
  /** Runs while the call waits. */
  private patience: Deadline | undefined = undefined;
  private cancelLookup: (() => void) | undefined = undefined;
  /** The caller has a part of the answer. */
  protected headSent = false;

  private waiting = false;
  private readonly body: RequestBody;

  constructor(call: Call, down: Stream, ended: boolean, services: ExchangeServices, unrouted: Unrouted) {
    this.call = call;
    this.down = down;
    this.services = services;
    this.unrouted = unrouted;
    this.body = new RequestBody(services.room, ended, (octets) => down.release(octets));
    down.handler = this;
  }

  // --- deciding ---

  /** Goes where the router says. */
  begin(router: Router): void {
    this.router = router;
    this.route(router);
  }

  private route(router: Router): void {
    const found = router.resolve(this.call);
    switch (found.kind) {
      case "target":
        if (this.target === undefined) this.enter(found.target);
        else this.move(this.target, found.target);
        return;
      case "failed":
        this.refuse(found.failure);
        return;
      case "wait":
        // Filters see the call once its upstream is known; its caller does not wait longer for that.
        if (this.target === undefined) void callerDeadline.onRequest?.(this.call);
        this.armDeadline();
        if (!this.onWait()) return;
        this.cancelLookup = found.settle(() => {
          this.cancelLookup = undefined;
          this.route(router);
        });
    }
  }

  /** Goes to another cluster under the policies and the counts that it began with. */
  private move({ filters, series }: Target, to: Target): void {
    if (to.cluster.isClosed) {
      const { reason, detail } = to.cluster.noneReason();
      this.refuse(failure(reason, detail, { unprocessed: true }));
      return;
    }
    this.target = { ...to, filters, series };
    this.start();
  }

  private enter(target: Target): void {
    this.target = target;
    this.call.upstream = target.name;
    this.call.note("routed", target.name);
    let verdict: ReturnType<typeof target.filters.onRequest>;
    try {
      verdict = target.filters.onRequest(this.call);
    } catch (error) {
      this.decided(this.fault(error));
      return;
    }
    if (verdict instanceof Promise) {
      void verdict.then(
        (answer) => this.decided(answer),
        (error: unknown) => this.decided(this.fault(error)),
      );
      return;
    }
    this.decided(verdict);
  }

  /** A filter has thrown: that is our own fault, and costs this call alone. */
  private fault(error: unknown): Failure {
    const { log } = this.services;
    const { direction, upstream, path } = this.call;
    log.error({ err: error, direction, upstream, path }, "a fault of our own; the call is refused");
    return failure("INTERNAL", "a filter failed; the sidecar's log has the fault", { unprocessed: true });
  }

  private decided(verdict: Failure | undefined): void {
    if (this.isOver) return;
    if (verdict !== undefined) {
      this.refuse(verdict);
      return;
    }
    const late = this.expired();
    if (late !== undefined) {
      this.refuse(late);
      return;
    }
    this.armDeadline();
    this.start();
  }

  /** Every filter lets the call go on. */
  protected start(): void {
    if (this.target === undefined) return;
    this.attempts = new Attempts(this.target.cluster, this.call, this.services.loop, this);
    this.attempts.next();
  }

  private armDeadline(): void {
    const { deadlines } = this.services;
    const at = this.call.deadline?.at;
    if (at === undefined || at === this.deadline?.due) return;
    if (this.deadline !== undefined) deadlines.disarm(this.deadline);
    this.deadline = deadlines.arm(at, () => this.deadlinePassed());
  }

  /** Sees to it that a call that waits does not wait for ever, and that not too many do. False where it may not. */
  onWait(): boolean {
    if (this.waiting) return true;
    const { room } = this.services;
    if (!room.enter()) {
      this.refuse(
        failure("QUEUE_FULL", `${room.calls} calls are waiting already, the limit is ${room.limits.calls}`, {
          unprocessed: true,
        }),
      );
      return false;
    }
    this.waiting = true;
    this.state = "waiting";
    this.call.note("waits", this.waitsFor());
    this.patience = this.services.deadlines.arm(this.services.loop.now() + room.limits.time, () =>
      this.patienceEnded(),
    );
    return true;
  }

  private waitsFor(): string {
    const { target } = this;
    if (target === undefined) return "its name to be looked up";
    return target.cluster.known ? "a connection" : "the first answer of discovery";
  }

  private patienceEnded(): void {
    const seconds = this.services.room.limits.time / 1000;
    const why = this.target === undefined ? "its name was not found" : this.target.cluster.noneReason().detail;
    this.refuse(
      failure("NO_ENDPOINTS", `the call waited ${seconds}s for ${this.call.upstream || "a lookup"}: ${why}`, {
        unprocessed: true,
      }),
    );
  }

  private deadlinePassed(): void {
    this.refuse(this.expiry());
  }

  /** What the call comes to where its deadline has passed, whoever noticed it first; undefined while it has not. */
  expired(): Failure | undefined {
    const at = this.call.deadline?.at;
    return at !== undefined && at <= this.services.loop.now() ? this.expiry() : undefined;
  }

  private expiry(): Failure {
    const by = this.call.deadline?.by ?? "caller";
    const ms = Math.round((this.call.deadline?.at ?? 0) - this.call.startedAt);
    const detail =
      by === "caller"
        ? `the caller's deadline of ${ms}ms has passed`
        : `the timeout of ${ms}ms configured for ${this.call.upstream} has passed`;
    return failure(by === "caller" ? "DEADLINE_CLIENT" : "DEADLINE_POLICY", detail);
  }

  // --- forwarding ---

  onConnection(endpoint: Endpoint, connection: Connection): void {
    this.call.endpoint = endpoint.label;
    this.call.attempts++;
    this.call.sentAt = this.services.loop.now();
    this.call.note("attempt", endpoint.label, this.call.attempts);
    this.stopWaiting();
    this.state = "forwarding";
    const { maxHeaderListSize, sidecar } = connection.peer;
    const own = this.requestHead();
    const head = this.hops > 0 && sidecar ? countedHead(this.services.headers, own, this.hops) : own;
    if (head.size > maxHeaderListSize) {
      // Some servers end the whole connection for it, and with it the calls of others.
      const detail = `the request has ${head.size} octets of header list, ${endpoint.label} takes ${maxHeaderListSize}`;
      this.refuse(failure("HEADERS_TOO_LARGE", detail, { unprocessed: true }));
      return;
    }
    const forward = new Forward(this, endpoint, connection);
    this.forward = forward;
    const { empty } = this.body;
    forward.open(head, empty);
    if (!empty && forward.stream !== undefined) this.body.sendTo(forward.stream);
  }

  private requestHead(): Head {
    const { deadline, head, startedAt } = this.call;
    if (deadline === undefined) return head;
    const now = this.services.loop.now();
    // What was used up here is taken off; within the turn in which the head came nothing was.
    if (now === startedAt && deadline.by === "caller") return head;
    return withField(this.services.headers, head, "grpc-timeout", formatTimeout(deadline.at - now));
  }

  onNoEndpoint(what: Failure): void {
    // Where its upstream was given up meanwhile, the configuration in force may know another way.
    if (this.router !== undefined && this.target?.cluster.isClosed === true) this.route(this.router);
    else this.refuse(what);
  }

  /** An attempt ended without an answer. It is made again, elsewhere, where the application provably has not seen the call. */
  attemptFailed(what: Failure, proof: Proof | undefined): void {
    this.attempts?.done("failure", what.status, what.reason);
    if (proof === undefined || !this.retry(what, proof, proofs[proof])) this.refuse(what);
  }

  /** The sidecar that was called says that its application has not seen the call. False where there is no other to try. */
  retryUnprocessed(reason: Reason | undefined): boolean {
    this.attempts?.done("failure", Status.UNAVAILABLE, reason);
    return this.retry(failure("REFUSED", "", { unprocessed: true }), "sidecar", `${proofs.sidecar}: ${reason ?? ""}`);
  }

  private retry(what: Failure, proof: Proof, words: string): boolean {
    const { call } = this;
    const obstacle = this.obstacleTo(proof);
    if (obstacle !== undefined) {
      call.note("notRetried", obstacle, call.attempts);
      return false;
    }
    call.note("retry", words, call.attempts + 1);
    const { log } = this.services;
    log.info(
      {
        direction: call.direction,
        upstream: call.upstream,
        endpoint: call.endpoint,
        path: call.path,
        reason: what.reason,
        proof: words,
      },
      "a call is made again",
    );
    // A stream that was answered before its request had ended is of no use any more, and must not be heard of either.
    this.forward?.cancel(ErrorCode.CANCEL);
    this.forward = undefined;
    this.state = "deciding";
    this.attempts?.next();
    return true;
  }

  /** Why a call that was provably not processed is not made again all the same. */
  private obstacleTo(proof: Proof): string | undefined {
    if (this.headSent || this.state !== "forwarding") return "the caller has a part of the answer already";
    if (!this.body.complete) return `the request is over the ${this.services.replay} octets that are kept for it`;
    if (proof === "refused" && this.fromSidecar) return "the calling sidecar knows others whom it can ask";
    return this.attempts?.again(proof) === true ? undefined : "as many attempts as may be were made";
  }

  // --- the answer, as the attempt brings it ---

  passInformational(head: Head): void {
    this.down.sendHead(head, false);
  }

  passHead(head: Head, end: boolean): void {
    this.headSent = true;
    this.attempts?.answering();
    this.body.forget();
    this.down.sendHead(head, end);
  }

  /** Returns how many octets the caller's side took at once; it reports the rest to `onSent`. */
  passData(buffer: Buffer, start: number, end: number, fin: boolean): number {
    this.call.bytesSent += end - start;
    this.target?.series.sent(end - start);
    return this.down.sendData(buffer, start, end, fin);
  }

  passTrailers(head: Head): void {
    this.down.sendTrailers(head);
  }

  /** Octets of the request that had been queued have gone to the upstream. */
  requestTaken(octets: number): void {
    this.body.taken(octets);
  }

  /** The attempt's answer is complete. */
  answered(outcome: Outcome, trailers: Head | undefined): void {
    const { status, reason } = outcome;
    this.attempts?.done(reason === undefined ? "ok" : "failure", status, reason, trailers);
    this.finish(outcome);
  }

  /** The upstream reads no more of a request that it has answered. */
  upstreamGone(): void {
    this.forward = undefined;
    this.down.resetWhenSent(ErrorCode.NO_ERROR);
  }

  // --- what the caller says ---

  onInformational(): void {}
  onHead(): void {}

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    const octets = end - start;
    this.call.bytesReceived += octets;
    this.target?.series.received(octets);
    const { body, forward } = this;
    if (fin) body.ended = true;
    if (forward?.stream !== undefined) {
      if (body.complete && !body.keep(buffer, start, end, this.services.replay)) body.forget();
      body.taken(forward.stream.sendData(buffer, start, end, fin));
    } else if (this.isOver) {
      this.down.release(octets);
    } else if (octets > 0 && this.onWait() && !body.keep(buffer, start, end, Number.POSITIVE_INFINITY)) {
      const { limits } = this.services.room;
      this.refuse(
        failure("QUEUE_FULL", `requests that wait hold ${limits.octets} octets already`, { unprocessed: true }),
      );
    }
  }

  onTrailers(head: Head): void {
    const clean = this.services.edits.foreign.apply(head);
    this.body.ended = true;
    this.body.trailers = clean;
    this.forward?.stream?.sendTrailers(clean);
  }

  onSent(octets: number): void {
    this.forward?.answerTaken(octets);
  }

  onAbort(abort: StreamAbort): void {
    const code = abort.kind === "reset" && abort.code !== ErrorCode.NO_ERROR ? abort.code : ErrorCode.CANCEL;
    this.attempts?.stop();
    this.forward?.cancel(code);
    this.finish({
      status: Status.CANCELLED,
      reason: undefined,
      origin: this.call.direction === "outbound" ? "app" : "peer",
      detail: abort.kind,
    });
    this.state = "over";
  }

  // --- the end ---

  /** The caller has its whole answer, or has gone. */
  protected get isOver(): boolean {
    return this.state === "answered" || this.state === "over";
  }

  /** Whatever the upstream has to say is not waited for any more: the answer is made here. */
  protected leaveUpstream(): void {
    this.attempts?.stop();
    this.forward?.cancel(ErrorCode.CANCEL);
    this.forward = undefined;
    this.stopWaiting();
    this.body.forget();
    this.state = "forwarding";
  }

  /** Answers the call with a failure of our own. */
  refuse(what: Failure): void {
    if (this.isOver) return;
    this.attempts?.stop(what);
    this.forward?.cancel(ErrorCode.CANCEL);
    this.forward = undefined;
    this.services.reply.send(this.down, what, this.call.grpc, this.headSent);
    this.finish({ status: what.status, reason: what.reason, origin: "proxy", detail: what.log ?? what.detail });
  }

  /** Refuses the call in the protocol's own way, for callers that can tell it from an answer. */
  refuseStream(code: ErrorCode, what: Failure): void {
    this.down.reset(code);
    this.finish({ status: what.status, reason: what.reason, origin: "proxy", detail: what.detail });
    this.state = "over";
  }

  private finish(outcome: Outcome): void {
    if (this.isOver) return;
    this.state = "answered";
    this.cancelLookup?.();
    this.stopWaiting();
    this.body.forget();
    if (this.deadline !== undefined) this.services.deadlines.disarm(this.deadline);
    const { filters } = this.target ?? this.unrouted;
    if (this.target === undefined) void filters.onRequest(this.call);
    this.call.note("ended", outcome.reason ?? "", outcome.status);
    filters.onFinish(this.call, outcome, this.services.loop.now());
  }

  private stopWaiting(): void {
    if (!this.waiting) return;
    this.waiting = false;
    if (this.patience !== undefined) this.services.deadlines.disarm(this.patience);
    this.services.room.leave();
  }
}
