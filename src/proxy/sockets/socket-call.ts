import type { AttemptReport } from "../../cluster/attempt-report.ts";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import type { Deadline } from "../../core/deadlines.ts";
import type { Call, Failure, Outcome } from "../../http/call.ts";
import { reasons, Status } from "../../http/reason.ts";
import { type AttemptPermit, permitFor } from "../attempt-permit.ts";
import { LATE } from "../endpoint-search.ts";
import { expired, expiryOf, waitedTooLong } from "../expiry.ts";
import type { Guest, Seat } from "../fair-room.ts";
import { filterFault } from "../filter-fault.ts";
import { EXHAUSTED, madeAgain } from "../made-again.ts";
import { overLimitOf, overLimitOfFailure } from "../over-limit.ts";
import { type Proof, wordsOf } from "../proof.ts";
import type { SaidFields } from "../retry/pushback.ts";
import type { ExchangeServices } from "../services.ts";
import type { Resolution, Router, Target, Unrouted } from "../target.ts";
import { type SocketOwner, SocketSearch } from "./socket-search.ts";

/**
 * A call that takes a whole connection of its upstream, a request of HTTP/1.1 or TCP: what it shares with calls of HTTP/2, from
 * its filters to the endpoint and to the one outcome that metrics, log and limits see.
 *
 *   deciding -> reaching -> carrying -> refusing -> over
 *
 * Invariants: the chain's `onFinish` runs exactly once, on entering "over"; a lease is either carried or ended.
 */
export abstract class SocketCall implements SocketOwner, Guest {
  readonly call: Call;
  protected readonly services: ExchangeServices;
  protected target: Target | undefined = undefined;
  private readonly unrouted: Unrouted;
  private state: "deciding" | "reaching" | "carrying" | "refusing" | "over" = "deciding";
  private router: Router | undefined = undefined;
  private search: SocketSearch | undefined = undefined;
  private permit: AttemptPermit | undefined = undefined;
  private deadline: Deadline | undefined = undefined;
  private patience: Deadline | undefined = undefined;
  private cancelLookup: (() => void) | undefined = undefined;
  /** Where it goes is not known yet. */
  private wait: Extract<Resolution, { kind: "wait" }> | undefined = undefined;
  /** Its caller has it under way. */
  private counted = false;
  /** Its place while it waits. */
  private seat: Seat | undefined = undefined;
  private fellBack = false;

  constructor(call: Call, services: ExchangeServices, unrouted: Unrouted) {
    this.call = call;
    call.caller = services.callers.join(call.identity, call.peer);
    this.services = services;
    this.unrouted = unrouted;
  }

  /** Carries the call over a connection. */
  protected abstract carry(endpoint: Endpoint, lease: SocketLease): void;
  /** Answers the caller with a failure of our own; nothing of another answer is sent after that. */
  protected abstract answer(what: Failure): void;
  /** Ends whatever an upstream still does for it. */
  protected abstract leaveUpstream(): void;

  // --- deciding ---

  begin(router: Router): void {
    this.router = router;
    this.route(router);
  }

  private route(router: Router): void {
    const found = router.resolve(this.call);
    switch (found.kind) {
      case "target":
        this.enter(found.target);
        return;
      case "failed":
        this.refuse(found.failure);
        return;
      case "wait":
        this.wait = found;
        if (!this.onWait()) return;
        this.cancelLookup = found.settle(() => {
          this.cancelLookup = undefined;
          this.wait = undefined;
          this.route(router);
        });
    }
  }

  /** `how`: the way there, where it is another than the call's name. */
  private enter(target: Target, how = ""): void {
    if (this.target !== undefined) {
      // Its first cluster was given up: it goes on under the policies and the counts that it began with.
      this.target = { ...target, filters: this.target.filters, series: this.target.series };
      this.call.note("routed", `${target.name}${how}`);
      this.start();
      return;
    }
    this.target = target;
    this.call.upstream = target.name;
    this.call.note("routed", target.name);
    void this.decide(target);
  }

  private async decide(target: Target): Promise<void> {
    let verdict: Failure | undefined;
    try {
      const given = target.filters.onRequest(this.call);
      this.armDeadline();
      verdict = given instanceof Promise ? await given : given;
    } catch (error) {
      verdict = filterFault(this.call, error, this.services.log);
    }
    if (this.isOver) return;
    verdict ??= expired(this.call, this.services.loop.now());
    if (verdict !== undefined) {
      this.refuse(verdict);
      return;
    }
    this.call.decidedAt ||= this.services.loop.now();
    this.armDeadline();
    this.start();
  }

  private start(): void {
    const { target, call, services } = this;
    if (target === undefined) return;
    this.state = "reaching";
    const { breakers, name } = target;
    if (breakers !== undefined) {
      this.permit = permitFor(breakers, call, services.loop.now());
      const refusal = this.permit.refusal(name);
      if (refusal !== undefined) {
        const other = this.fellBack ? undefined : target.fallback?.();
        this.permit = undefined;
        if (other === undefined) {
          this.refuse(refusal);
          return;
        }
        this.fellBack = true;
        this.enter(other, `, the fallback of ${name}`);
        return;
      }
    }
    this.search = new SocketSearch(target.cluster, call, services.loop, this);
    this.search.next();
  }

  private armDeadline(): void {
    const at = this.call.deadline?.at;
    if (at === undefined || at === this.deadline?.due) return;
    this.forgetDeadline();
    this.deadline = this.services.deadlines.arm(at, () => this.refuse(expiryOf(this.call)));
  }

  /** The call may last from here on. */
  protected forgetDeadline(): void {
    if (this.deadline !== undefined) this.services.deadlines.disarm(this.deadline);
    this.deadline = undefined;
  }

  onWait(): boolean {
    if (this.seat !== undefined) return true;
    const { room, deadlines, loop } = this.services;
    this.seat = room.seat(this);
    if (this.seat === undefined) return false;
    const { wait, target } = this;
    // For a connection the search says it, which there is without waiting where one is idle.
    if (wait !== undefined) this.call.note("waits", wait.what);
    else if (target?.cluster.known === false) this.call.note("waits", "the first answer of discovery");
    this.patience = deadlines.arm(loop.now() + room.limits.time, () => {
      const why = this.wait?.why() ?? this.target?.cluster.noneReason().detail ?? "";
      this.refuse(waitedTooLong(this.call, room.limits.time, why));
    });
    return true;
  }

  private stopWaiting(): void {
    if (this.seat === undefined) return;
    if (this.patience !== undefined) this.services.deadlines.disarm(this.patience);
    this.services.room.stand(this.seat);
    this.seat = undefined;
  }

  // --- what the search finds ---

  onSocket(endpoint: Endpoint, lease: SocketLease): void {
    this.stopWaiting();
    this.state = "carrying";
    if (!this.counted) this.call.caller.share++;
    this.counted = true;
    const { call, services } = this;
    call.endpoint = endpoint.label;
    call.attempts++;
    call.meter?.attemptStarted();
    call.sentAt = services.loop.now();
    call.note("attempt", endpoint.label, call.attempts);
    if (this.search !== undefined) this.search.number = call.attempts;
    this.carry(endpoint, lease);
  }

  onNoEndpoint(what: Failure): void {
    this.permit?.settle(what.status, what.reason, this.services.loop.now());
    // Where its upstream was given up meanwhile, the configuration in force may know another way.
    if (this.target?.cluster.isClosed === true && this.router !== undefined && !this.fellBack) {
      this.fellBack = true;
      this.route(this.router);
    } else this.give(what);
  }

  // --- what becomes of the attempt ---

  /** The head of the answer came, or what stands for it. */
  protected answering(): void {
    this.permit?.answering(this.services.loop.now());
    this.search?.answering();
  }

  /** There is no answer. Another attempt is made where `proof` says that the application has not seen the call. */
  protected failed(what: Failure, proof: Proof | undefined): void {
    this.search?.done("failure", what.status, what.reason, undefined, overLimitOfFailure(what));
    if (proof === undefined || this.isOver || !this.again(what, proof)) this.give(what);
  }

  private again({ reason }: Failure, proof: Proof): boolean {
    const { call, services, search } = this;
    // A limit is not asked again at once: it has said that it takes time.
    if (search?.again(proof, reasons[reason].retry === "later") !== true) {
      call.note("notRetried", EXHAUSTED, call.attempts);
      return false;
    }
    madeAgain(call, services.log, reason, wordsOf(proof, reason));
    this.state = "reaching";
    search.next();
    return true;
  }

  /** The upstream has failed the call. */
  private give(what: Failure): void {
    this.permit?.settle(what.status, what.reason, this.services.loop.now());
    this.refuse(what);
  }

  /** The call is over, and its caller has had all that there is. */
  protected finish(outcome: Outcome, attempt: AttemptReport["outcome"]): void {
    if (this.state === "over") return;
    this.state = "over";
    const { call, services } = this;
    const now = services.loop.now();
    this.permit?.settle(attempt === "cancelled" ? undefined : outcome.status, outcome.reason, now);
    const over = attempt === "cancelled" ? undefined : overLimitOf(outcome.status, outcome.reason, this.said);
    this.search?.done(attempt, outcome.status, outcome.reason, undefined, over);
    this.search?.stop();
    this.cancelLookup?.();
    this.stopWaiting();
    if (this.counted) call.caller.share--;
    services.callers.leave(call.caller);
    this.forgetDeadline();
    const { filters } = this.target ?? this.unrouted;
    if (this.target === undefined) void filters.onRequest(call);
    call.note("ended", outcome.reason ?? "", outcome.status);
    call.outcome = outcome;
    call.endedAt = now;
    filters.onFinish(call, outcome, now);
    call.recorder?.over(call);
  }

  /** The fields of the answer, where it has any. */
  protected get said(): SaidFields | undefined {
    return undefined;
  }

  protected get isOver(): boolean {
    return this.state === "over" || this.state === "refusing";
  }

  /** The caller has gone, or has had enough. */
  protected abandon(detail: string): void {
    if (this.isOver) return;
    this.leaveUpstream();
    const origin = this.call.direction === "outbound" ? "app" : "peer";
    this.finish({ status: Status.CANCELLED, reason: undefined, origin, detail }, "cancelled");
  }

  /** Answers the call with a failure of our own. */
  refuse(what: Failure): void {
    if (this.isOver) return;
    // A caller that is cut off may be gone before this returns, and has not gone by itself.
    this.state = "refusing";
    this.leaveUpstream();
    this.answer(what);
    const detail = what.log ?? what.detail;
    const attempt = LATE.has(what.reason) ? "failure" : "cancelled";
    this.finish({ status: what.status, reason: what.reason, origin: "proxy", detail }, attempt);
  }
}
