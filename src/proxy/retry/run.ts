import type { Endpoint } from "../../cluster/endpoint.ts";
import type { Deadline } from "../../core/deadlines.ts";
import { type Call, type Failure, failure, type Outcome } from "../../http/call.ts";
import { readablePath } from "../../http/call-match.ts";
import { withField } from "../../http/head-edit.ts";
import type { Head } from "../../http/headers.ts";
import { type Reason, reasons, statusName } from "../../http/reason.ts";
import { ErrorCode } from "../../http2/errors.ts";
import { Attempt, type AttemptHost, PREVIOUS, type Sending } from "../attempt.ts";
import type { RequestBody } from "../request-body.ts";
import type { ExchangeServices } from "../services.ts";
import type { Target } from "../target.ts";
import type { Idempotence } from "./idempotent-methods.ts";
import type { NotRetried, RetryPolicy } from "./policy.ts";
import { pushbackOf } from "./pushback.ts";

/**
 * Milliseconds that a first message waits for the end of its answer, where others may follow. A client of a unary call can do nothing
 * with the message alone, and an answer of which the caller has nothing can still be had from elsewhere.
 */
const HOLD = 10;
/** Milliseconds by which the end of a try's time is noticed too late where this process, or its machine, stood still. */
const STANDSTILL = 50;
/** Octets of an answer that are kept for that. */
const HELD = 16_384;

/** One attempt of a run, with what it has brought that the caller does not have yet. */
interface Try {
  readonly attempt: Attempt;
  /** Runs until its answer has begun, and while its first message waits. */
  timer: Deadline | undefined;
  head: Head | undefined;
  /** The first message, or a part of it. */
  held: Buffer | undefined;
  /** The head is all there is: Trailers-Only. */
  headOnly: boolean;
  trailers: Head | undefined;
  /** How it ended. */
  end:
    | { readonly kind: "answer"; readonly outcome: Outcome }
    | { readonly kind: "failure"; readonly what: Failure }
    | undefined;
  /** The upstream reads no more of the request. */
  gone: boolean;
}

/**
 * A call that may be made more than once: attempts one after the other or beside each other, of which the caller sees one.
 *
 *   open -> chosen -> (over)
 *
 * "chosen": the caller has a part of the answer of one attempt, and gets the rest of it whatever comes (gRFC A6: committed). That is
 * at the end of an attempt after which there is no other, or before: when a first message is large, another one follows, or might
 * and has not for `HOLD`.
 *
 * Invariants:
 * - `live` holds the attempts that have not ended; at most `attempts` are ever made, each further one is taken from the budget;
 * - while nothing is chosen there is a live attempt or a pause that ends in one;
 * - the parent hears one answer, or one failure.
 */
export class RetryRun implements Sending, AttemptHost {
  private readonly parent: AttemptHost;
  private readonly target: Target;
  private readonly policy: RetryPolicy;
  /** Why more than one attempt does no harm, in words. */
  private readonly proof: string;
  /** The answer is one message. */
  private readonly single: boolean;
  private live: Try[] = [];
  private made = 0;
  /** Endpoints of attempts that have ended, each once; the last one last. */
  private used: Endpoint[] = [];
  private chosen: Try | undefined = undefined;
  /** The last attempt that ended with a status to be retried; what the caller gets if nothing better comes. */
  private fallen: Try | undefined = undefined;
  /** Until the next attempt. */
  private pause: Deadline | undefined = undefined;
  /** No further attempt is made. */
  private closed = false;

  constructor(target: Target, policy: RetryPolicy, { proof, single }: Idempotence, parent: AttemptHost) {
    this.target = target;
    this.policy = policy;
    this.proof = proof;
    this.single = single;
    this.parent = parent;
  }

  // --- what the call asks ---

  start(): void {
    this.policy.budget.call(this.services.loop.now());
    this.send();
  }

  data(buffer: Buffer, start: number, end: number, fin: boolean): boolean {
    if (this.chosen !== undefined) return this.chosen.attempt.data(buffer, start, end, fin);
    if (!this.body.complete && this.live.length > 1) this.narrow();
    let taken = false;
    for (const { attempt } of this.live) taken = attempt.data(buffer, start, end, fin) || taken;
    return taken;
  }

  trailers(head: Head): void {
    for (const { attempt } of this.chosen === undefined ? this.live : [this.chosen]) attempt.trailers(head);
  }

  answerTaken(octets: number): void {
    this.chosen?.attempt.answerTaken(octets);
  }

  stop(code: ErrorCode, why?: Failure): void {
    this.closed = true;
    this.unpause();
    for (const one of [...this.live]) this.drop(one, code, why);
    this.fallen?.attempt.stop(code);
    this.chosen?.attempt.stop(code, why);
  }

  // --- attempts ---

  private send(): void {
    this.pause = undefined;
    const { target, policy } = this;
    const attempt = new Attempt(target, this, this.made++, this.avoided());
    const one: Try = {
      attempt,
      timer: undefined,
      head: undefined,
      held: undefined,
      headOnly: false,
      trailers: undefined,
      end: undefined,
      gone: false,
    };
    this.live.push(one);
    const { perTryTimeout, hedgeAfter } = policy.options;
    const { deadlines, loop } = this.services;
    if (perTryTimeout !== undefined) {
      const due = loop.now() + perTryTimeout;
      one.timer = deadlines.arm(due, () => this.due(one, perTryTimeout, due));
    }
    if (hedgeAfter !== undefined && this.made < policy.options.attempts && !this.closed)
      this.pause = deadlines.arm(loop.now() + hedgeAfter, () => this.hedge(hedgeAfter));
    attempt.start();
  }

  /** Endpoints that the next attempt does not go to: those that were used or are in use, or the last one where that is all there are. */
  private avoided(): Endpoint[] | undefined {
    const used = [...this.used];
    for (const { attempt } of this.live)
      if (attempt.endpoint !== undefined && !used.includes(attempt.endpoint)) used.push(attempt.endpoint);
    const { cluster } = this.target;
    const last = used.at(-1);
    if (last === undefined) return undefined;
    if (cluster.hasOther(used, last)) return used;
    return cluster.hasOther(undefined, last) ? [last] : undefined;
  }

  /** There is no answer yet: another attempt is made beside those under way. */
  private hedge(after: number): void {
    this.pause = undefined;
    const obstacle = this.obstacle(0);
    if (obstacle !== undefined) {
      this.refused(obstacle);
      return;
    }
    this.policy.counts.hedges++;
    this.call.again("hedges");
    this.call.note("hedge", `no answer within ${after}ms; ${this.proof}`, this.call.attempts + 1);
    this.say(`no answer within ${after}ms`, "a call is made a second time beside the first");
    this.send();
  }

  /**
   * After a standstill timers run before what has come meanwhile is read. It is waited for, lest every call be made again whose
   * answer is there.
   */
  private due(one: Try, timeout: number, due: number): void {
    const now = this.services.loop.now();
    if (now - due > STANDSTILL) one.timer = this.services.deadlines.arm(now, () => this.late(one, timeout));
    else this.late(one, timeout);
  }

  private late(one: Try, timeout: number): void {
    const where = one.attempt.endpoint?.label ?? "any instance";
    const what = failure("TRY_TIMEOUT", `${where} did not answer within the ${timeout}ms that an attempt may take`);
    one.attempt.stop(ErrorCode.CANCEL, what);
    this.ended(one, { kind: "failure", what });
  }

  private ended(one: Try, end: NonNullable<Try["end"]>): void {
    one.end = end;
    this.disarm(one);
    this.live = this.live.filter((other) => other !== one);
    const { endpoint } = one.attempt;
    if (endpoint !== undefined) this.used = [...this.used.filter((other) => other !== endpoint), endpoint];
    const { status, reason } = end.kind === "answer" ? end.outcome : end.what;
    const more = this.asksForMore(status, reason);
    // What never left says less than an attempt that is under way, or than what the one before ended with.
    if (!more && end.kind === "failure" && end.what.unprocessed) {
      if (this.live.length > 0) {
        this.waits();
        return;
      }
      if (this.fallen !== undefined) {
        this.give(this.fallen);
        return;
      }
    }
    if (!more) {
      this.give(one);
      return;
    }
    this.fallen?.attempt.stop(ErrorCode.CANCEL);
    this.fallen = one;
    if (!this.closed) this.next(one, statusName(status), reason);
    else if (this.live.length === 0) this.give(one);
    this.waits();
  }

  /** The call waits again where none of its attempts is under way any more but one is looking for a connection. */
  private waits(): void {
    if (this.live.length > 0 && !this.underWay) this.parent.onWait();
  }

  private get underWay(): boolean {
    return this.live.some(({ attempt }) => attempt.sent);
  }

  /** Another attempt follows one that failed, unless something speaks against it. */
  private next(one: Try, status: string, reason: Reason | undefined): void {
    const pushback = pushbackOf(one.trailers ?? (one.headOnly ? one.head : undefined));
    if (pushback === "stop") this.closed = true;
    const { hedgeAfter } = this.policy.options;
    const wait = typeof pushback === "number" ? pushback : hedgeAfter === undefined ? this.policy.pause(this.made) : 0;
    const obstacle = pushback === "stop" ? "pushback" : this.obstacle(wait);
    if (obstacle !== undefined) {
      this.refused(obstacle);
      if (this.live.length === 0) this.give(one);
      return;
    }
    this.policy.counts.retries++;
    one.attempt.stop(ErrorCode.CANCEL);
    this.call.again("retries", this.live.length === 0 ? wait : 0);
    this.call.note("retry", this.proof, this.call.attempts + 1);
    this.say(reason ?? status, "a call is made again");
    this.unpause();
    if (wait === 0) this.send();
    else this.pause = this.services.deadlines.arm(this.services.loop.now() + wait, () => this.send());
  }

  private asksForMore(status: number, reason: Reason | undefined): boolean {
    if (reason === "TRY_TIMEOUT") return true;
    if (reason === "CIRCUIT_OPEN" || (reason !== undefined && reasons[reason].retry === "never")) return false;
    return this.policy.options.statuses.has(status);
  }

  /** What speaks against a further attempt after `wait` milliseconds; takes it from the budget where nothing does. */
  private obstacle(wait: number): NotRetried | undefined {
    const { options, budget } = this.policy;
    const now = this.services.loop.now();
    if (this.made >= options.attempts) return "attempts";
    if (!this.body.complete || this.headSent) return "buffer";
    if (this.call.deadline !== undefined && now + wait >= this.call.deadline.at) return "deadline";
    return budget.take(options.budget, now) ? undefined : "budget";
  }

  private refused(obstacle: NotRetried): void {
    this.closed = true;
    this.unpause();
    this.policy.counts.refused[obstacle]++;
    this.call.note("notRetried", obstacle, this.call.attempts);
  }

  // --- the one that the caller sees ---

  /** The caller gets what an attempt ended with. */
  private give(one: Try): void {
    const { end } = one;
    if (end?.kind === "failure") one.held = undefined;
    this.choose(one);
    if (end?.kind === "failure") {
      this.parent.failed(end.what, one.attempt);
      return;
    }
    if (end === undefined) return;
    if (one.trailers !== undefined) this.parent.passTrailers(one.trailers, one.attempt);
    else if (!one.headOnly) this.parent.passData(NOTHING, 0, 0, true, one.attempt);
    this.parent.answered(end.outcome, one.attempt, one.trailers ?? one.head);
    if (one.gone) this.parent.upstreamGone(one.attempt);
  }

  private choose(one: Try): void {
    this.chosen = one;
    this.closed = true;
    this.unpause();
    this.disarm(one);
    for (const other of this.live.filter((other) => other !== one)) this.drop(other, ErrorCode.CANCEL);
    if (this.fallen !== one) this.fallen?.attempt.stop(ErrorCode.CANCEL);
    this.fallen = undefined;
    this.live = [];
    this.call.endpoint = one.attempt.endpoint?.label ?? this.call.endpoint;
    if (one.head !== undefined) this.parent.passHead(this.numbered(one.head, one.attempt), one.headOnly, one.attempt);
    const { held } = one;
    one.held = undefined;
    if (held !== undefined) one.attempt.answerTaken(this.parent.passData(held, 0, held.length, false, one.attempt));
  }

  /** Keeps the octets back while they belong to a first message and another attempt may follow. */
  private hold(one: Try, buffer: Buffer, start: number, end: number): boolean {
    const { attempts } = this.policy.options;
    if (this.closed || this.made >= attempts || !this.body.complete) return false;
    const before = one.held ?? NOTHING;
    const octets = before.length + end - start;
    if (octets > HELD) return false;
    const held = Buffer.concat([before, buffer.subarray(start, end)], octets);
    // gRPC over HTTP/2, "Length-Prefixed-Message".
    if (octets >= PREFIX && octets > PREFIX + held.readUInt32BE(1)) return false;
    // Of an answer that is one message nothing is given to the caller before its end: a try that takes too long is a failed one.
    if (one.held === undefined && !this.single) {
      this.disarm(one);
      this.unpause();
      one.timer = this.services.deadlines.arm(this.services.loop.now() + HOLD, () => this.choose(one));
    }
    one.held = held;
    return true;
  }

  /** gRFC A6: the caller may know how many attempts came before. */
  private numbered(head: Head, { previous }: Attempt): Head {
    return previous === 0 ? head : withField(this.services.headers, head, PREVIOUS, String(previous));
  }

  /** The request is no longer kept: an attempt that lags behind another would have to be fed from memory. */
  private narrow(): void {
    const [furthest, ...others] = this.live.toSorted((a, b) => b.attempt.taken - a.attempt.taken);
    for (const one of others) this.drop(one, ErrorCode.CANCEL);
    if (furthest !== undefined) this.live = [furthest];
  }

  private drop(one: Try, code: ErrorCode, why?: Failure): void {
    this.disarm(one);
    one.attempt.stop(code, why);
    this.live = this.live.filter((other) => other !== one);
  }

  private disarm(one: Try): void {
    if (one.timer !== undefined) this.services.deadlines.disarm(one.timer);
    one.timer = undefined;
  }

  private unpause(): void {
    if (this.pause !== undefined) this.services.deadlines.disarm(this.pause);
    this.pause = undefined;
  }

  private say(reason: string, message: string): void {
    const { direction, upstream, endpoint, path, attempts } = this.call;
    this.services.log.info(
      { direction, upstream, endpoint, path: readablePath(path), reason, attempts, proof: this.proof },
      message,
    );
  }

  // --- what an attempt tells ---

  get call(): Call {
    return this.parent.call;
  }

  get services(): ExchangeServices {
    return this.parent.services;
  }

  get body(): RequestBody {
    return this.parent.body;
  }

  get fromSidecar(): boolean {
    return this.parent.fromSidecar;
  }

  get hops(): number {
    return this.parent.hops;
  }

  get headSent(): boolean {
    return this.parent.headSent;
  }

  /** An attempt beside one that is under way may look for a connection for as long as that takes: its call does not wait. */
  onWait(): boolean {
    return this.underWay || this.parent.onWait();
  }

  onSending(attempt: Attempt): boolean {
    if (!this.body.complete && this.made > 1) {
      const one = this.live.find((other) => other.attempt === attempt);
      if (one !== undefined) this.drop(one, ErrorCode.CANCEL);
      if (this.live.length === 0 && this.fallen !== undefined) this.give(this.fallen);
      return false;
    }
    return this.parent.onSending(attempt);
  }

  expired(): Failure | undefined {
    return this.parent.expired();
  }

  passInformational(head: Head, attempt: Attempt): void {
    if (this.chosen?.attempt === attempt) this.parent.passInformational(head, attempt);
  }

  passHead(head: Head, end: boolean, attempt: Attempt): void {
    const one = this.tryOf(attempt);
    if (one === undefined) return;
    one.head = head;
    one.headOnly = end;
  }

  passData(buffer: Buffer, start: number, end: number, fin: boolean, attempt: Attempt): number {
    const one = this.tryOf(attempt);
    if (one === undefined) return end - start;
    if (this.chosen === undefined) {
      if (start === end || this.hold(one, buffer, start, end)) return 0;
      this.choose(one);
    }
    return this.parent.passData(buffer, start, end, fin, attempt);
  }

  passTrailers(head: Head, attempt: Attempt): void {
    const one = this.tryOf(attempt);
    if (one === undefined) return;
    if (this.chosen === one) this.parent.passTrailers(head, attempt);
    else one.trailers = head;
  }

  answered(outcome: Outcome, attempt: Attempt, last: Head | undefined): void {
    const one = this.tryOf(attempt);
    if (one === undefined) return;
    if (this.chosen === one) this.parent.answered(outcome, attempt, last);
    else this.ended(one, { kind: "answer", outcome });
  }

  failed(what: Failure, attempt: Attempt): void {
    const one = this.tryOf(attempt);
    if (one === undefined) return;
    if (this.chosen === one) this.parent.failed(what, attempt);
    else this.ended(one, { kind: "failure", what });
  }

  upstreamGone(attempt: Attempt): void {
    const one = this.tryOf(attempt);
    if (one === undefined) return;
    one.gone = true;
    if (this.chosen === one) this.parent.upstreamGone(attempt);
  }

  private tryOf(attempt: Attempt): Try | undefined {
    if (this.chosen?.attempt === attempt) return this.chosen;
    if (this.fallen?.attempt === attempt) return this.fallen;
    return this.live.find((one) => one.attempt === attempt);
  }
}

const NOTHING = Buffer.alloc(0);
/** Octets before a message: a flag and the length. */
const PREFIX = 5;
