import type { Deadline } from "../core/deadlines.ts";
import { IdleWatch } from "../core/idle-watch.ts";
import { callerDeadline } from "../filters/deadline.ts";
import { type Call, type Failure, failure, type Outcome } from "../http/call.ts";
import { changeHead } from "../http/field-change.ts";
import type { Head } from "../http/headers.ts";
import { Status } from "../http/reason.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../http2/stream.ts";
import { Attempt, type AttemptHost, type Sending } from "./attempt.ts";
import { expired, expiryOf, waitedTooLong } from "./expiry.ts";
import { explainedFailure, explainedHead } from "./explain-trailer.ts";
import type { Guest, Seat } from "./fair-room.ts";
import { filterFault } from "./filter-fault.ts";
import type { MirroredCall } from "./mirror.ts";
import { RequestBody } from "./request-body.ts";
import { RetryRun } from "./retry/run.ts";
import type { ExchangeServices } from "./services.ts";
import { StreamAge, type StreamAgePolicy } from "./stream-age.ts";
import { type Resolution, type Router, resolved, type Target, type Unrouted } from "./target.ts";

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
export class Exchange implements StreamHandler, AttemptHost, Guest {
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
  /** The upstream's side; kept after the answer while the caller still sends. */
  private sending: Sending | undefined = undefined;
  /** A copy of the call that goes somewhere else. */
  private mirrored: MirroredCall | undefined = undefined;
  private deadline: Deadline | undefined = undefined;
  /** Runs while the call waits. */
  private patience: Deadline | undefined = undefined;
  private cancelLookup: (() => void) | undefined = undefined;
  /** Where it goes is not known yet. */
  private wait: Extract<Resolution, { kind: "wait" }> | undefined = undefined;
  /** Runs where its target may not be idle for as long as it likes. */
  private idleWatch: IdleWatch | undefined = undefined;
  /** Runs where its target has streams of its method opened again from time to time. */
  private age: StreamAge | undefined = undefined;
  /** The caller has a part of the answer. */
  headSent = false;

  /** Its caller has it under way. */
  private counted = false;
  /** Its place while it waits. */
  private seat: Seat | undefined = undefined;
  private fellBack = false;
  readonly body: RequestBody;

  constructor(call: Call, down: Stream, ended: boolean, services: ExchangeServices, unrouted: Unrouted) {
    this.call = call;
    this.down = down;
    this.services = services;
    this.unrouted = unrouted;
    this.body = new RequestBody(services.room, ended, down, call.caller);
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
        this.wait = found;
        if (!this.onWait()) return;
        this.cancelLookup = found.settle(() => {
          this.cancelLookup = undefined;
          this.wait = undefined;
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
    this.call.note("routed", to.name);
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
      this.decided(filterFault(this.call, error, this.services.log));
      return;
    }
    if (verdict instanceof Promise) {
      // A filter has the call wait: not longer than its caller does.
      this.armDeadline();
      void verdict.then(
        (answer) => this.decided(answer),
        (error: unknown) => this.decided(filterFault(this.call, error, this.services.log)),
      );
      return;
    }
    this.decided(verdict);
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
    this.call.decidedAt ||= this.services.loop.now();
    if (this.target.mirror !== undefined)
      this.mirrored ??= this.target.mirror.begin(this.call, this.body, this.services);
    this.down.pace = this.target.bandwidth?.response;
    const { idleTimeout = this.target.sockets?.idle, streams } = this.target;
    if (streams?.applies(this.call.path) === true) this.age ??= this.watchAge(streams);
    if (idleTimeout !== undefined) this.idleWatch ??= this.watchIdle(idleTimeout);
    this.sending = this.sendingTo(this.target);
    this.sending.start();
  }

  /** What brings the call to its upstream. */
  protected sendingTo(target: Target): Sending {
    const { retry } = target;
    const idempotence = retry?.idempotence(this.call);
    return retry === undefined || idempotence === undefined
      ? new Attempt(target, this)
      : new RetryRun(target, retry, idempotence, this);
  }

  private watchIdle(timeout: number): IdleWatch {
    const { deadlines, loop } = this.services;
    return new IdleWatch(deadlines.timers(loop), timeout, () => {
      this.refuse(failure("IDLE_TIMEOUT", `nothing of the call has moved for ${timeout} ms`));
    });
  }

  private watchAge(policy: StreamAgePolicy): StreamAge {
    const { deadlines, loop } = this.services;
    return new StreamAge(policy, deadlines, loop.now(), () => {
      const { status } = policy;
      this.refuse(failure("REBALANCE", `the stream was open for about ${policy.maxAge} ms; open it again`, { status }));
    });
  }

  /** The call may last from here on. */
  protected forgetDeadline(): void {
    if (this.deadline !== undefined) this.services.deadlines.disarm(this.deadline);
    this.deadline = undefined;
  }

  private armDeadline(): void {
    const { deadlines } = this.services;
    const at = this.call.deadline?.at;
    if (at === undefined || at === this.deadline?.due) return;
    this.forgetDeadline();
    this.deadline = deadlines.arm(at, () => this.deadlinePassed());
  }

  /** Sees to it that a call that waits does not wait for ever, and that not too many do. False where it may not. */
  onWait(): boolean {
    if (this.seat !== undefined) return true;
    const { room } = this.services;
    this.seat = room.seat(this);
    if (this.seat === undefined) return false;
    this.state = "waiting";
    this.call.note("waits", this.waitsFor());
    this.patience = this.services.deadlines.arm(this.services.loop.now() + room.limits.time, () =>
      this.patienceEnded(),
    );
    return true;
  }

  private waitsFor(): string {
    const { target, wait } = this;
    if (wait !== undefined || target === undefined) return wait?.what ?? "";
    return target.cluster.known ? "a connection" : "the first answer of discovery";
  }

  private patienceEnded(): void {
    const why = this.wait?.why() ?? this.target?.cluster.noneReason().detail ?? "";
    this.refuse(waitedTooLong(this.call, this.services.room.limits.time, why));
  }

  private deadlinePassed(): void {
    this.refuse(expiryOf(this.call));
  }

  /** What the call comes to where its deadline has passed, whoever noticed it first; undefined while it has not. */
  expired(): Failure | undefined {
    return expired(this.call, this.services.loop.now());
  }

  // --- what an attempt tells ---

  onSending(): boolean {
    this.stopWaiting();
    this.state = "forwarding";
    if (!this.counted) this.call.caller.share++;
    this.counted = true;
    return true;
  }

  failed(what: Failure): void {
    // Where its upstream was given up meanwhile, the configuration in force may know another way.
    const moves = what.unprocessed && this.body.complete && this.target?.cluster.isClosed === true;
    if (moves && this.router !== undefined) this.route(this.router);
    else if (what.reason !== "CIRCUIT_OPEN" || !this.fallBack()) this.refuse(what);
  }

  /** Goes to the upstream that stands in for one whose circuit breaker is open. False where there is none. */
  private fallBack(): boolean {
    const { target } = this;
    const other = this.fellBack || !this.body.complete ? undefined : resolved(this.call, target?.fallback?.());
    if (target === undefined || other === undefined) return false;
    this.fellBack = true;
    this.call.note("routed", `${other.name}, the fallback of ${target.name}`);
    this.move(target, other);
    return true;
  }

  // --- the answer, as the attempt brings it ---

  passInformational(head: Head): void {
    this.down.sendHead(head, false);
  }

  passHead(head: Head, end: boolean): void {
    this.headSent = true;
    this.idleWatch?.moved();
    this.body.forget();
    this.mirrored?.comparison?.head("original", head);
    const routed = this.target?.response?.apply(head) ?? head;
    const { answerFields } = this.call;
    const edited = answerFields === undefined ? routed : changeHead(this.services.headers, routed, answerFields);
    this.down.sendHead(end ? this.withExplanation(edited) : edited, end);
  }

  passData(buffer: Buffer, start: number, end: number, fin: boolean): number {
    this.call.bytesSent += end - start;
    this.idleWatch?.moved();
    this.mirrored?.comparison?.data("original", buffer, start, end);
    this.age?.passed(buffer, start, end, this.services.loop.now());
    this.target?.series.sent(end - start);
    return this.down.sendData(buffer, start, end, fin);
  }

  passTrailers(head: Head): void {
    this.mirrored?.comparison?.head("original", head);
    this.down.sendTrailers(this.withExplanation(head));
  }

  protected withExplanation(last: Head): Head {
    const { headers, explanations } = this.services;
    return this.call.explained ? explainedHead(headers, explanations, this.call, last) : last;
  }

  answered(outcome: Outcome): void {
    this.finish(outcome);
  }

  upstreamGone(): void {
    this.sending = undefined;
    this.down.resetWhenSent(ErrorCode.NO_ERROR);
  }

  // --- what the caller says ---

  onInformational(): void {}
  onHead(): void {}

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    const octets = end - start;
    this.call.bytesReceived += octets;
    this.idleWatch?.moved();
    this.target?.series.received(octets);
    const { body } = this;
    if (fin) body.ended = true;
    this.mirrored?.data(buffer, start, end, fin);
    if (this.sending?.data(buffer, start, end, fin) === true) {
      if (body.complete && !body.keep(buffer, start, end, this.services.replay)) body.forget();
    } else if (this.isOver) {
      this.down.release(octets);
    } else if (octets > 0 && this.onWait() && !body.keep(buffer, start, end, Number.POSITIVE_INFINITY)) {
      const detail = `${this.services.room.octets} octets of requests are kept already, ${this.call.caller.kept} of this caller`;
      this.refuse(failure("QUEUE_FULL", detail, { unprocessed: true }));
    }
  }

  onTrailers(head: Head): void {
    const clean = this.services.trailers.apply(head);
    this.body.ended = true;
    this.body.trailers = clean;
    this.sending?.trailers(clean);
    this.mirrored?.trailers(clean);
  }

  onSent(octets: number): void {
    this.idleWatch?.moved();
    this.sending?.answerTaken(octets);
  }

  onAbort(abort: StreamAbort): void {
    const code = abort.kind === "reset" && abort.code !== ErrorCode.NO_ERROR ? abort.code : ErrorCode.CANCEL;
    this.sending?.stop(code);
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
    this.sending?.stop(ErrorCode.CANCEL);
    this.sending = undefined;
    this.stopWaiting();
    this.body.forget();
    this.state = "forwarding";
  }

  /** Answers the call with a failure of our own. */
  refuse(what: Failure): void {
    if (this.isOver) return;
    this.sending?.stop(ErrorCode.CANCEL, what);
    this.sending = undefined;
    this.reply(explainedFailure(this.services.explanations, this.call, what));
    this.finish({ status: what.status, reason: what.reason, origin: "proxy", detail: what.log ?? what.detail });
  }

  /** Says it to the caller, in a way that does not let it take a part of an answer for a whole one. */
  protected reply(what: Failure): void {
    const { call, services } = this;
    // A deadline has passed, or the like: what the answer's pace holds back comes too late.
    this.down.dropPaced();
    services.reply.send(this.down, what, call.grpc, this.headSent, call.identity !== undefined);
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
    this.idleWatch?.stop();
    this.age?.stop();
    this.stopWaiting();
    if (this.counted) this.call.caller.share--;
    this.body.forget();
    if (this.deadline !== undefined) this.forgetDeadline();
    const { filters } = this.target ?? this.unrouted;
    if (this.target === undefined) void filters.onRequest(this.call);
    const { call } = this;
    call.note("ended", outcome.reason ?? "", outcome.status);
    call.outcome = outcome;
    call.endedAt = this.services.loop.now();
    filters.onFinish(call, outcome, call.endedAt);
    call.recorder?.over(call);
    this.mirrored?.stop(outcome);
  }

  private stopWaiting(): void {
    if (this.seat === undefined) return;
    if (this.patience !== undefined) this.services.deadlines.disarm(this.patience);
    this.services.room.stand(this.seat);
    this.seat = undefined;
  }
}
