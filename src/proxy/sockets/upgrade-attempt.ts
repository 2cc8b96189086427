import { createHash, randomBytes } from "node:crypto";
import { ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import { type Failure, failure, type Outcome } from "../../http/call.ts";
import { WEBSOCKET } from "../../http/extended-connect.ts";
import type { Head } from "../../http/headers.ts";
import { statusOfAnswer } from "../../http/http-status.ts";
import { answerFields, http1Fields } from "../../http/http1-head.ts";
import { reasons, Status } from "../../http/reason.ts";
import type { ErrorCode } from "../../http2/errors.ts";
import { watchHalfOpen } from "../../net/half-open.ts";
import { pacedInto } from "../../net/paced-stream.ts";
import { cutOff } from "../../net/reset.ts";
import type { AttemptHost, Sending } from "../attempt.ts";
import { type AttemptPermit, permitFor } from "../attempt-permit.ts";
import { LATE } from "../endpoint-search.ts";
import { EXPLAIN } from "../explain-trailer.ts";
import { lostConnection } from "../lost.ts";
import { EXHAUSTED, madeAgain } from "../made-again.ts";
import { overLimitOf, overLimitOfFailure } from "../over-limit.ts";
import { type Proof, wordsOf } from "../proof.ts";
import type { Upload } from "../request-body.ts";
import type { Destination } from "../target.ts";
import { circle, isSidecar, lossOf, NotPassedOn, reasonOf, saidOf, viaField } from "./http1-hop.ts";
import { type SocketOwner, SocketSearch } from "./socket-search.ts";

/** Whose attempt it is. Hears nothing after `stop`. */
export interface UpgradeHost extends Pick<AttemptHost, "call" | "services" | "body" | "headSent" | "onWait"> {
  onSending(): boolean;
  passInformational(head: Head): void;
  passHead(head: Head, end: boolean): void;
  passData(buffer: Buffer, start: number, end: number, fin: boolean): number;
  answered(outcome: Outcome): void;
  failed(what: Failure): void;
  upstreamGone(): void;
}

type State =
  | { readonly kind: "reaching" }
  /** What the caller says meanwhile waits here: its stream's window bounds how much that is. */
  | { readonly kind: "asking"; readonly request: ClientRequest; readonly early: Buffer[]; ended: boolean }
  | { readonly kind: "open"; readonly socket: Duplex }
  /** The upstream does not go over: its answer is one as any other. */
  | { readonly kind: "declined"; readonly answer: IncomingMessage }
  | { readonly kind: "over" };

/**
 * An attempt at a WebSocket over HTTP/2 at an upstream that speaks HTTP/1.1, which is asked by an upgrade (RFC 8441 §5): a 101 is a
 * 200 for the caller, and the octets of both halves pass as they are.
 *
 *   reaching -> asking -> open | declined -> over
 *
 * Invariants: the host hears of one answer or one failure; octets are released to the caller when they have left for the upstream, and
 * no more is read of the upstream while the caller's side has not taken what was.
 */
export class UpgradeAttempt implements Sending, SocketOwner, Upload {
  private readonly host: UpgradeHost;
  private readonly target: Destination;
  private readonly search: SocketSearch;
  private permit: AttemptPermit | undefined = undefined;
  private state: State = { kind: "reaching" };
  /** Octets of the answer that the caller's side has not taken. */
  private owed = 0;
  /** What leads to the upstream's socket, where octets have to wait for their turn. */
  private paced: Duplex | undefined = undefined;
  /** The answer is complete: what is still told is that the upstream reads no more. */
  private isAnswered = false;
  taken = 0;

  constructor(target: Destination, host: UpgradeHost) {
    this.host = host;
    this.target = target;
    this.search = new SocketSearch(target.cluster, host.call, host.services.loop, this);
  }

  start(): void {
    const { breakers, name } = this.target;
    if (breakers !== undefined) {
      this.permit = permitFor(breakers, this.host.call, this.now());
      const refusal = this.permit.refusal(name);
      if (refusal !== undefined) {
        this.host.failed(refusal);
        return;
      }
    }
    this.search.next();
  }

  // --- what the search finds ---

  onWait(): boolean {
    return this.host.onWait();
  }

  onNoEndpoint(what: Failure): void {
    this.give(what);
  }

  onSocket(endpoint: Endpoint, lease: SocketLease): void {
    const { call } = this.host;
    const goesRound = circle(call.head);
    if (goesRound !== undefined || !this.host.onSending()) {
      if (lease.kind === "fresh") lease.socket.destroy();
      if (goesRound !== undefined) this.give(goesRound);
      return;
    }
    call.endpoint = endpoint.label;
    call.attempts++;
    call.meter?.attemptStarted();
    call.sentAt = this.now();
    call.note("attempt", endpoint.label, call.attempts);
    this.search.number = call.attempts;
    this.ask(endpoint, lease);
  }

  /** Asks by an upgrade (RFC 6455 §4.1), with a key of our own: over HTTP/2 there is none (RFC 8441 §5). */
  private ask(endpoint: Endpoint, lease: SocketLease): void {
    const { call, services, body } = this.host;
    const { sockets } = endpoint;
    if (sockets === undefined) throw new Error(`${endpoint.label} does not speak HTTP/1.1`);
    const key = randomBytes(16).toString("base64");
    const head = services.tracer.inject(services.headers, call, call.head);
    const fields = upgradeFields(head, key);
    if (call.explained && isSidecar(endpoint, sockets.peerBehind(lease))) fields.push([EXPLAIN, "1"]);
    sockets.agent.offer(lease.kind === "fresh" ? lease.socket : undefined);
    const request = new ClientRequest({
      agent: sockets.agent,
      method: "GET",
      path: head.get(":path") ?? "/",
      // The types want a record, which has no order and no duplicates.
      headers: fields as unknown as Record<string, string>,
      setHost: false,
    });
    // An idle connection came free meanwhile.
    sockets.agent.takeBack()?.destroy();
    this.state = { kind: "asking", request, early: [], ended: false };
    const isAsking = (): boolean => this.state.kind === "asking" && this.state.request === request;
    const lost = (error: unknown): void => {
      if (!isAsking()) return;
      const { what, proof } = lossOf(error, endpoint, lease, { hasBody: false, isRepeatable: !this.host.headSent });
      this.failed(what, proof);
    };
    request.on("error", lost);
    request.on("information", ({ statusCode, rawHeaders }) => {
      if (isAsking() && !NOT_OF_HTTP2.has(statusCode))
        this.host.passInformational(this.headOf(statusCode, rawHeaders, false));
    });
    request.on("response", (answer) => {
      if (isAsking()) this.decline(endpoint, answer, lost);
      else answer.destroy();
    });
    request.on("upgrade", (answer, socket, first) => {
      if (isAsking()) this.open(endpoint, { answer, socket, first }, key);
      else socket.destroy();
    });
    request.end();
    // What came while there was no connection.
    body.sendTo({ sendData: (buffer, start, end, fin) => this.take(buffer, start, end, fin), sendTrailers() {} }, this);
  }

  // --- what the upstream says ---

  private open(
    endpoint: Endpoint,
    { answer, socket, first }: { answer: IncomingMessage; socket: Duplex; first: Buffer },
    key: string,
  ): void {
    if (this.state.kind !== "asking") return;
    const { early, ended } = this.state;
    this.state = { kind: "open", socket };
    socket.on("error", () => {});
    const why = faultOf(answer, key);
    if (why !== undefined) {
      this.failed(failure("PROTOCOL", `${endpoint.label} broke the protocol: ${why}`), undefined);
      return;
    }
    this.answering();
    const { deadlines, loop } = this.host.services;
    watchHalfOpen(socket, deadlines.timers(loop));
    const bySidecar = isSidecar(endpoint, endpoint.sockets?.peerOf(answer.socket));
    this.passHead(endpoint, this.headOf(200, answer.rawHeaders, bySidecar));
    const pace = this.target.bandwidth?.request;
    if (pace !== undefined) this.paced = pacedInto(socket, pace);
    for (const chunk of early) this.write(this.paced ?? socket, chunk);
    if (ended) (this.paced ?? socket).end();
    if (first.length > 0) this.passData(socket, first);
    socket.on("data", (chunk: Buffer) => this.passData(socket, chunk));
    socket.once("end", () => this.complete(socket, { status: Status.OK, reason: undefined, origin: "app" }));
    socket.once("close", () => this.closed(socket, endpoint));
  }

  private decline(endpoint: Endpoint, answer: IncomingMessage, lost: (error: unknown) => void): void {
    const { statusCode = 502 } = answer;
    const bySidecar = isSidecar(endpoint, endpoint.sockets?.peerOf(answer.socket));
    const reason = bySidecar ? reasonOf(answer) : undefined;
    if (reason !== undefined && answer.headers["outrigger-unprocessed"] === "1") {
      lost(new NotPassedOn(reason, answer));
      return;
    }
    if (statusCode < 300) {
      // For the caller any 2xx says that the WebSocket is open (RFC 8441 §5).
      const detail = `${endpoint.label} answered ${statusCode} and did not go over to a WebSocket`;
      this.failed(failure("PROTOCOL", detail), undefined);
      return;
    }
    this.state = { kind: "declined", answer };
    this.answering();
    this.passHead(endpoint, this.headOf(statusCode, answer.rawHeaders, bySidecar));
    const origin = reason === undefined ? "app" : "peer";
    answer.on("data", (chunk: Buffer) => this.passData(answer, chunk));
    answer.once("end", () => this.complete(answer, { status: statusOfAnswer(statusCode), reason, origin }));
    answer.on("error", () => {});
    answer.once("close", () => this.closed(answer, endpoint));
  }

  private passHead(endpoint: Endpoint, head: Head): void {
    const { call, services } = this.host;
    const session = endpoint.affinity === undefined ? undefined : endpoint.sessionField(call);
    this.host.passHead(session === undefined ? head : services.headers.head([...head.entries(), session]), false);
  }

  /** `bySidecar`: what it says in our name is true, and what it says to us has been heard; see `Exchange` for its explanation. */
  private headOf(status: number, raw: readonly string[], bySidecar: boolean): Head {
    const isForeign = (name: string): boolean =>
      bySidecar ? name === "outrigger-unprocessed" : name.startsWith("outrigger-");
    const fields = answerFields(raw, isForeign).filter(([name]) => name !== "trailer" && name !== ACCEPT);
    return this.host.services.headers.head([[":status", String(status)], ...fields]);
  }

  private passData(source: Duplex | IncomingMessage, chunk: Buffer): void {
    if (this.state.kind === "over") return;
    this.search.received += chunk.length;
    this.owed += chunk.length - this.host.passData(chunk, 0, chunk.length, false);
    if (this.owed > 0) source.pause();
  }

  private complete(source: Duplex | IncomingMessage, outcome: Omit<Outcome, "detail">): void {
    if (this.state.kind === "over" || this.isAnswered || ("complete" in source && !source.complete)) return;
    this.isAnswered = true;
    this.host.passData(NOTHING, 0, 0, true);
    const { status, reason } = outcome;
    this.permit?.settle(status, reason, this.now());
    const over = this.state.kind === "declined" ? overLimitOf(status, reason, saidOf(this.state.answer)) : undefined;
    this.search.done(reason === undefined ? "ok" : "failure", status, reason, undefined, over);
    this.host.answered({ ...outcome, detail: undefined });
  }

  private closed(source: Duplex | IncomingMessage, endpoint: Endpoint): void {
    if (this.state.kind === "over") return;
    const why = source.errored?.message ?? "closed";
    if (!this.isAnswered) this.failed(lostConnection(endpoint, why), undefined);
    else {
      this.state = { kind: "over" };
      this.host.upstreamGone();
    }
  }

  private answering(): void {
    this.permit?.answering(this.now());
    this.search.answering();
  }

  // --- what the caller says ---

  data(buffer: Buffer, start: number, end: number, fin: boolean): boolean {
    if (this.state.kind === "reaching") return false;
    this.take(buffer, start, end, fin);
    return true;
  }

  /** The engine lets none through: see `Stream.tunnel`. */
  trailers(): void {}

  answerTaken(octets: number): void {
    this.owed -= octets;
    if (this.owed > 0) return;
    if (this.state.kind === "open") this.state.socket.resume();
    else if (this.state.kind === "declined") this.state.answer.resume();
  }

  /** Returns how many octets have left already: none, for `write` says when they have. */
  private take(buffer: Buffer, start: number, end: number, fin: boolean): number {
    const { state } = this;
    if (state.kind === "asking") {
      // The buffer is its reader's again when this returns.
      if (end > start) state.early.push(Buffer.from(buffer.subarray(start, end)));
      state.ended ||= fin;
    } else if (state.kind === "open") {
      const sink = this.paced ?? state.socket;
      if (end > start) this.write(sink, Buffer.from(buffer.subarray(start, end)));
      if (fin) sink.end();
    } else this.host.body.taken(this, end - start);
    return 0;
  }

  private write(socket: Duplex, chunk: Buffer): void {
    socket.write(chunk, () => this.host.body.taken(this, chunk.length));
  }

  // --- the end ---

  stop(_code: ErrorCode, why?: Failure): void {
    const late = why !== undefined && LATE.has(why.reason);
    this.permit?.settle(late ? why.status : undefined, why?.reason, this.now());
    this.search.stop(why);
    this.leave();
  }

  /** Nothing more is wanted of the upstream. */
  private leave(): void {
    const { state } = this;
    this.state = { kind: "over" };
    if (state.kind === "asking") state.request.destroy();
    else if (state.kind === "declined") state.answer.destroy();
    else if (state.kind === "open") cutOff(state.socket);
  }

  /** There is no answer, or not all of it. Another attempt is made where `proof` says that the application has not seen the call. */
  private failed(what: Failure, proof: Proof | undefined): void {
    this.search.done("failure", what.status, what.reason, undefined, overLimitOfFailure(what));
    this.leave();
    if (proof === undefined || !this.again(what, proof)) this.give(what);
  }

  private again({ reason }: Failure, proof: Proof): boolean {
    const { call, services, body, headSent } = this.host;
    // A limit is not asked again at once: it has said that it takes time.
    const isLater = reasons[reason].retry === "later";
    if (headSent || !body.complete || !this.search.again(proof, isLater)) {
      call.note("notRetried", EXHAUSTED, call.attempts);
      return false;
    }
    madeAgain(call, services.log, reason, wordsOf(proof, reason));
    this.state = { kind: "reaching" };
    this.search.next();
    return true;
  }

  private give(what: Failure): void {
    this.permit?.settle(what.status, what.reason, this.now());
    this.host.failed(what);
  }

  private now(): number {
    return this.host.services.loop.now();
  }
}

const NOTHING = Buffer.alloc(0);
/** Interim answers that are about a connection of HTTP/1.1. */
const NOT_OF_HTTP2: ReadonlySet<number> = new Set([100, 101]);
const KEY = "sec-websocket-key";
const ACCEPT = "sec-websocket-accept";
/** What is hashed with the key, RFC 6455 §1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Of one hop, of no meaning for a request that goes over, or said otherwise. */
const LEFT_OUT: ReadonlySet<string> = new Set(["te", "trailer", "content-length", "cookie", KEY]);

/** The fields of the upgrade, RFC 6455 §4.1. */
function upgradeFields(head: Head, key: string): [string, string][] {
  const fields = http1Fields(head, []);
  // RFC 9113 §8.2.3: they "MUST be concatenated" for who does not speak HTTP/2.
  const cookies = fields.filter(([name]) => name === "cookie").map(([, value]) => value);
  return [
    ...fields.filter(([name]) => !LEFT_OUT.has(name)),
    ...(cookies.length === 0 ? [] : [["cookie", cookies.join("; ")] as [string, string]]),
    ["connection", "Upgrade"],
    ["upgrade", WEBSOCKET],
    [KEY, key],
    viaField("2"),
  ];
}

/** What is wrong with an answer that says that the connection is a WebSocket now (RFC 6455 §4.1); undefined: nothing. */
function faultOf({ statusCode, headers }: IncomingMessage, key: string): string | undefined {
  if (statusCode !== 101) return `an upgrade with status ${statusCode}`;
  if (headers.upgrade?.toLowerCase() !== WEBSOCKET) return "an upgrade to something else";
  const accept = createHash("sha1").update(`${key}${GUID}`).digest("base64");
  return headers[ACCEPT] === accept ? undefined : `an upgrade without the right ${ACCEPT}`;
}
