import type { Endpoint } from "../cluster/endpoint.ts";
import { type Call, type Failure, failure, type Outcome } from "../http/call.ts";
import { formatTimeout } from "../http/grpc.ts";
import { withField } from "../http/head-edit.ts";
import type { Head } from "../http/headers.ts";
import { type Reason, Status } from "../http/reason.ts";
import type { Connection } from "../http2/connection.ts";
import { ErrorCode } from "../http2/errors.ts";
import { type AttemptPermit, permitFor } from "./attempt-permit.ts";
import { EndpointSearch, LATE, type SearchOwner } from "./endpoint-search.ts";
import { EXPLAIN } from "./explain-trailer.ts";
import { Forward } from "./forward.ts";
import { countedHead } from "./hops.ts";
import { EXHAUSTED, madeAgain } from "./made-again.ts";
import { overLimitOf } from "./over-limit.ts";
import { type Proof, proofs, wordsOf } from "./proof.ts";
import type { RequestBody } from "./request-body.ts";
import { pushbackOf } from "./retry/pushback.ts";
import type { ExchangeServices } from "./services.ts";
import type { Destination } from "./target.ts";

/** The upstream's side of a call, as its exchange sees it: one attempt, or a policy that makes several. */
export interface Sending {
  start(): void;
  /** Sends octets of the request. False where nothing takes them yet: they have to be kept. */
  data(buffer: Buffer, start: number, end: number, fin: boolean): boolean;
  trailers(head: Head): void;
  /** Octets of the answer that had been queued have gone to the caller. */
  answerTaken(octets: number): void;
  /** Nobody waits for the answer any more. `why`: it was not the caller who gave up. Idempotent. */
  stop(code: ErrorCode, why?: Failure): void;
}

/** Whose attempt it is: the call's itself, or a policy's. Hears nothing after `stop`. */
export interface AttemptHost {
  readonly call: Call;
  readonly services: ExchangeServices;
  readonly body: RequestBody;
  /** The caller is one of us, and knows others whom it can ask. */
  readonly fromSidecar: boolean;
  /** Sidecars that the call has come through; see `hops.ts`. */
  readonly hops: number;
  /** The caller has a part of the answer. */
  readonly headSent: boolean;
  /** See `SearchOwner`. */
  onWait(): boolean;
  /** There is a connection: the request leaves now. False: it may not, and the attempt has been stopped. */
  onSending(attempt: Attempt): boolean;
  /** What the call comes to where its deadline has passed; undefined while it has not. */
  expired(): Failure | undefined;

  passInformational(head: Head, attempt: Attempt): void;
  passHead(head: Head, end: boolean, attempt: Attempt): void;
  /** Returns how many octets the caller's side took at once; it reports the rest to `answerTaken`. */
  passData(buffer: Buffer, start: number, end: number, fin: boolean, attempt: Attempt): number;
  passTrailers(head: Head, attempt: Attempt): void;
  /** The answer is complete. `last`: its last head, where its status stands. */
  answered(outcome: Outcome, attempt: Attempt, last: Head | undefined): void;
  /** There is no answer, and nothing that could be done about it without risk. */
  failed(what: Failure, attempt: Attempt): void;
  /** The upstream reads no more of a request that it has answered. */
  upstreamGone(attempt: Attempt): void;
}

/**
 * One attempt at a call: an endpoint is found, the request sent, the answer passed on. Where the application provably has not
 * seen the request the attempt is made again elsewhere, which is no other attempt for whoever counts them.
 */
export class Attempt implements Sending, SearchOwner {
  readonly host: AttemptHost;
  private readonly target: Destination;
  private readonly search: EndpointSearch;
  /** Where the upstream has a circuit breaker. */
  private permit: AttemptPermit | undefined = undefined;
  private forward: Forward | undefined = undefined;
  /** Attempts at the call that came before this one. */
  readonly previous: number;

  /** `tried`: endpoints that others are to be preferred to. */
  constructor(target: Destination, host: AttemptHost, previous = 0, tried?: Endpoint[]) {
    this.host = host;
    this.target = target;
    this.previous = previous;
    this.search = new EndpointSearch(target.cluster, host.call, host.services.loop, this, tried);
  }

  start(): void {
    const { breakers, name } = this.target;
    if (breakers !== undefined) {
      const { call, services } = this.host;
      this.permit = permitFor(breakers, call, services.loop.now());
      const refusal = this.permit.refusal(name);
      if (refusal !== undefined) {
        this.host.failed(refusal, this);
        return;
      }
    }
    this.search.next();
  }

  /** The endpoint that was last chosen for it. */
  get endpoint(): Endpoint | undefined {
    return this.search.last;
  }

  /** Its request has left. */
  get sent(): boolean {
    return this.forward !== undefined;
  }

  /** Octets of the request that its upstream has taken. */
  get taken(): number {
    return this.forward?.taken ?? 0;
  }

  data(buffer: Buffer, start: number, end: number, fin: boolean): boolean {
    const { forward } = this;
    if (forward?.stream === undefined) return false;
    this.host.body.taken(forward, forward.stream.sendData(buffer, start, end, fin));
    return true;
  }

  trailers(head: Head): void {
    this.forward?.stream?.sendTrailers(head);
  }

  answerTaken(octets: number): void {
    this.forward?.answerTaken(octets);
  }

  stop(code: ErrorCode, why?: Failure): void {
    const late = why !== undefined && LATE.has(why.reason);
    this.permit?.settle(late ? why.status : undefined, why?.reason, this.host.services.loop.now());
    this.search.stop(why);
    this.forward?.cancel(code);
    this.forward = undefined;
  }

  // --- what the search finds ---

  onWait(): boolean {
    return this.host.onWait();
  }

  onConnection(endpoint: Endpoint, connection: Connection): void {
    const { call, body, hops, services } = this.host;
    if (!this.host.onSending(this)) return;
    call.endpoint = endpoint.label;
    call.attempts++;
    call.meter?.attemptStarted();
    call.sentAt = services.loop.now();
    call.note("attempt", endpoint.label, call.attempts);
    const { maxHeaderListSize, sidecar } = connection.peer;
    this.search.number = call.attempts;
    const own = services.tracer.inject(services.headers, call, this.requestHead());
    const head = sidecar ? this.toSidecar(own, hops) : own;
    if (head.size > maxHeaderListSize) {
      // Some servers end the whole connection for it, and with it the calls of others.
      const detail = `the request has ${head.size} octets of header list, ${endpoint.label} takes ${maxHeaderListSize}`;
      this.give(failure("HEADERS_TOO_LARGE", detail, { unprocessed: true }));
      return;
    }
    const forward = new Forward(this, endpoint, connection);
    this.forward = forward;
    const { empty } = body;
    forward.open(head, empty);
    if (empty || forward.stream === undefined) return;
    forward.stream.pace = this.target.bandwidth?.request;
    body.sendTo(forward.stream, forward);
  }

  onNoEndpoint(what: Failure): void {
    this.give(what);
  }

  protected give(what: Failure): void {
    this.permit?.settle(what.status, what.reason, this.host.services.loop.now());
    this.host.failed(what, this);
  }

  /** The head of the request, as this attempt sends it. */
  protected requestHead(): Head {
    const { call, services } = this.host;
    const { deadline, startedAt } = call;
    const head = this.previous === 0 ? call.head : withPrevious(call.head, this.previous, services);
    if (deadline === undefined) return head;
    const now = services.loop.now();
    // What was used up here is taken off; within the turn in which the head came nothing was.
    if (now === startedAt && deadline.by === "caller") return head;
    return withField(services.headers, head, "grpc-timeout", formatTimeout(deadline.at - now));
  }

  /** What one sidecar tells another and nobody else. */
  private toSidecar(own: Head, hops: number): Head {
    const { call, services } = this.host;
    const head = hops > 0 ? countedHead(services.headers, own, hops) : own;
    return call.explained ? withField(services.headers, head, EXPLAIN, "1") : head;
  }

  // --- what the upstream says, besides the answer that goes to the host ---

  /** The head of the answer came. */
  answering(): void {
    this.permit?.answering(this.host.services.loop.now());
    this.search.answering();
  }

  /** Octets of the body of the answer. */
  arrived(octets: number): void {
    this.search.received += octets;
  }

  /** `last`: the last head of the answer. */
  answered(outcome: Outcome, last: Head | undefined): void {
    const { status, reason } = outcome;
    this.permit?.settle(status, reason, this.host.services.loop.now());
    this.search.done(reason === undefined ? "ok" : "failure", status, reason, last);
    this.host.answered(outcome, this, last);
  }

  /**
   * There is no answer. The attempt is made again where the application provably has not seen the call. `refusal`: the head of
   * what came in place of an answer.
   */
  failed(what: Failure, proof: Proof | undefined, refusal?: Head): void {
    const { status, reason } = what;
    this.search.done("failure", status, reason, undefined, overLimitOf(status, reason, refusal));
    if (proof === undefined || !this.again(what, proof, proofs[proof])) this.give(what);
  }

  /** The sidecar that was called says that its application has not seen the call. False where there is no other to try. */
  unprocessed(reason: Reason | undefined, last: Head): boolean {
    this.search.done("failure", Status.UNAVAILABLE, reason, last);
    const words = wordsOf("sidecar", reason);
    // Whoever says when to come again is not to be asked at once.
    const elsewhere = pushbackOf(last) !== undefined;
    return this.again(failure("REFUSED", "", { unprocessed: true }), "sidecar", words, elsewhere);
  }

  private again(what: Failure, proof: Proof, words: string, elsewhere = false): boolean {
    const { services, call } = this.host;
    const obstacle = this.obstacleTo(proof, elsewhere);
    if (obstacle !== undefined) {
      call.note("notRetried", obstacle, call.attempts);
      return false;
    }
    madeAgain(call, services.log, what.reason, words);
    // A stream that was answered before its request had ended is of no use any more, and must not be heard of either.
    this.forward?.cancel(ErrorCode.CANCEL);
    this.forward = undefined;
    this.search.next();
    return true;
  }

  /** Why what was provably not processed is not made again all the same. */
  private obstacleTo(proof: Proof, elsewhere: boolean): string | undefined {
    const { body, headSent, fromSidecar, services } = this.host;
    if (headSent || this.forward === undefined) return "the caller has a part of the answer already";
    if (!body.complete) return `the request is over the ${services.replay} octets that are kept for it`;
    if (proof === "refused" && fromSidecar) return "the calling sidecar knows others whom it can ask";
    return this.search.again(proof, elsewhere) ? undefined : EXHAUSTED;
  }
}

/** gRFC A6: how many attempts came before, those of the caller itself included. */
function withPrevious(head: Head, previous: number, { headers }: ExchangeServices): Head {
  const callers = Number(head.get(PREVIOUS) ?? 0);
  return withField(
    headers,
    head,
    PREVIOUS,
    String(previous + (Number.isInteger(callers) && callers > 0 ? callers : 0)),
  );
}

/** Says the server how many attempts came before (gRFC A6). */
export const PREVIOUS = "grpc-previous-rpc-attempts";
