import type { IncomingMessage } from "node:http";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import { type Call, failure } from "../../http/call.ts";
import { changeHead } from "../../http/field-change.ts";
import { statusOfAnswer } from "../../http/http-status.ts";
import { answerFields, http1Fields, isIdempotent } from "../../http/http1-head.ts";
import type { Reason } from "../../http/reason.ts";
import { EXPLAIN, explanationText } from "../explain-trailer.ts";
import { PUSHBACK, type SaidFields } from "../retry/pushback.ts";
import type { ExchangeServices } from "../services.ts";
import type { Unrouted } from "../target.ts";
import { CarriedRequest } from "./carried-request.ts";
import { circle, explanationOf, isSidecar, lossOf, NotPassedOn, reasonOf, saidOf, viaField } from "./http1-hop.ts";
import { SocketCall } from "./socket-call.ts";

/** A request of HTTP/1.1 as it was accepted. */
export interface Http1CallOptions {
  readonly call: Call;
  readonly request: IncomingMessage;
  readonly services: ExchangeServices;
  readonly unrouted: Unrouted;
}

/**
 * A request of HTTP/1.1, from its head to the end of its answer. `http2-proxy` carries it over the connection that was found for it;
 * what else a proxy owes (docs/protocols.md) is done here and in `CarriedRequest`.
 */
export abstract class Http1Call extends SocketCall {
  protected readonly request: IncomingMessage;
  protected readonly hasBody: boolean;
  protected upstream: CarriedRequest | undefined = undefined;
  protected answered: IncomingMessage | undefined = undefined;
  private reason: Reason | undefined = undefined;
  /** What the sidecar that was called says of how it decided. */
  protected theirs: string | undefined = undefined;

  constructor({ call, request, services, unrouted }: Http1CallOptions) {
    super(call, services, unrouted);
    this.request = request;
    const { headers } = request;
    this.hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  }

  /** Ends it, whatever becomes of its answer. True where it was under way. */
  cut(why: string): boolean {
    if (this.isOver) return false;
    this.refuse(failure("DRAINING", why));
    return true;
  }

  /** Has the answer say that it is the last one of its connection; false where it is too late for that, or has no such words. */
  sayLast(): boolean {
    return false;
  }

  /** Has `http2-proxy` carry the request that `make` makes. */
  protected abstract send(make: Making, answer: Answering): Promise<void>;
  /** Whether the caller has a part of the answer. */
  protected abstract get headSent(): boolean;
  /** Passes the answer on; its fields are those that go on. */
  protected abstract pass(answer: IncomingMessage, fields: readonly (readonly [string, string])[]): void;
  /** What is said of the framing of the request, and of what it wants to become. */
  protected abstract framing(): readonly (readonly [string, string])[];
  /** The request is carried to its end. */
  protected abstract carried(): void;

  protected override carry(endpoint: Endpoint, lease: SocketLease): void {
    const goesRound = circle(this.call.head);
    if (goesRound !== undefined) {
      if (lease.kind === "fresh") lease.socket.destroy();
      this.refuse(goesRound);
      return;
    }
    const make: Making = () => this.make(endpoint, lease);
    const answer: Answering = (incoming) => this.onAnswer(endpoint, incoming);
    this.send(make, answer).then(
      () => this.carried(),
      (error: unknown) => this.broken(error, endpoint, lease),
    );
  }

  private make(endpoint: Endpoint, lease: SocketLease): CarriedRequest {
    const { call, services, request } = this;
    const agent = endpoint.sockets?.agent;
    if (agent === undefined) throw new Error(`${endpoint.label} does not speak HTTP/1.1`);
    const head = services.tracer.inject(services.headers, call, call.head);
    const fields = http1Fields(head, this.framing());
    fields.push(viaField(request.httpVersion));
    if (call.explained && isSidecar(endpoint, endpoint.sockets?.peerBehind(lease))) fields.push([EXPLAIN, "1"]);
    agent.offer(lease.kind === "fresh" ? lease.socket : undefined);
    const options = {
      agent,
      method: head.get(":method") ?? "GET",
      path: head.get(":path") ?? "/",
      // The types want a record, which has no order and no duplicates.
      headers: fields as unknown as Record<string, string>,
      setHost: false,
    };
    const counted = (octets: number): void => {
      call.bytesReceived += octets;
      this.target?.series.received(octets);
    };
    const { trailers } = services;
    const pace = this.target?.bandwidth?.request;
    const upstream = new CarriedRequest(options, request, this.hasBody, trailers, counted, pace);
    // An idle connection came free meanwhile.
    agent.takeBack()?.destroy();
    this.upstream = upstream;
    this.attend(upstream, endpoint);
    // It must not wait for the end of a body that another attempt has read.
    if (!this.hasBody) upstream.end();
    return upstream;
  }

  /** Listens to what `http2-proxy` does not. */
  protected attend(_upstream: CarriedRequest, _endpoint: Endpoint): void {}

  private onAnswer(endpoint: Endpoint, answer: IncomingMessage): void {
    if (this.isOver) throw new NotPassedOn("UPSTREAM_LOST");
    const { call } = this;
    const { statusCode = 502 } = answer;
    const bySidecar = isSidecar(endpoint, endpoint.sockets?.peerOf(answer.socket));
    const reason = bySidecar ? reasonOf(answer) : undefined;
    if (reason !== undefined && answer.headers["outrigger-unprocessed"] === "1" && !this.hasBody && !this.isUpgrade)
      throw new NotPassedOn(reason, answer);
    this.reason = reason;
    this.answered = answer;
    call.httpStatus = statusCode;
    this.answering();
    this.pass(answer, this.passedOn(answer, endpoint, bySidecar));
  }

  /** The fields of an answer that go on to the caller, as its route, its filters and its session have them. */
  protected passedOn(
    answer: IncomingMessage,
    endpoint: Endpoint,
    bySidecar: boolean,
  ): readonly (readonly [string, string])[] {
    const { call, services, target } = this;
    if (bySidecar) this.theirs = explanationOf(answer);
    const isForeign = (name: string): boolean =>
      bySidecar ? name === "outrigger-unprocessed" || name === EXPLAIN : name.startsWith("outrigger-");
    let fields: readonly (readonly [string, string])[] = answerFields(answer.rawHeaders, isForeign);
    if (target?.response !== undefined || call.answerFields !== undefined) {
      const came = services.headers.head([[":status", String(answer.statusCode)], ...fields]);
      const head = changeHead(services.headers, target?.response?.apply(came) ?? came, call.answerFields ?? []);
      fields = [...head.entries()]
        .filter(([name]) => name !== ":status")
        .map(([name, value]) => [name, value] as const);
    }
    const session = endpoint.affinity === undefined ? undefined : endpoint.sessionField(call);
    return session === undefined ? fields : [...fields, session];
  }

  /** What its caller reads of how it was decided, as a field; undefined where it did not ask, or may not. */
  protected explanation(): readonly [string, string] | undefined {
    const { call, services, theirs } = this;
    return call.explained ? [EXPLAIN, explanationText(services.explanations.explain(call), theirs)] : undefined;
  }

  protected override get said(): SaidFields | undefined {
    return this.answered && saidOf(this.answered);
  }

  protected get isUpgrade(): boolean {
    return false;
  }

  /** Octets of the answer that go to the caller. */
  protected sent(octets: number): void {
    this.call.bytesSent += octets;
    this.target?.series.sent(octets);
  }

  /** The answer has gone to the caller, whole. */
  protected complete(detail?: string): void {
    const { httpStatus } = this.call;
    const status = statusOfAnswer(httpStatus);
    const { reason } = this;
    const origin = reason === undefined ? "app" : "peer";
    this.finish({ status, reason, origin, detail }, reason === undefined ? "ok" : "failure");
  }

  private broken(error: unknown, endpoint: Endpoint, lease: SocketLease): void {
    // What the attempt still has to say is nobody's business any more: `http2-proxy` would take it for the next one's.
    this.upstream?.removeAllListeners().on("error", () => {});
    this.upstream?.destroy();
    this.upstream = undefined;
    if (this.isOver) return;
    const { hasBody } = this;
    const isRepeatable = !this.headSent && !hasBody && isIdempotent(this.request.method ?? "");
    const { what, proof } = lossOf(error, endpoint, lease, { hasBody, isRepeatable });
    this.failed(what, proof);
  }

  protected override leaveUpstream(): void {
    const { upstream } = this;
    this.upstream = undefined;
    upstream?.destroy();
  }
}

/** Makes the request, as it goes on. */
export type Making = () => CarriedRequest;

/** Passes an answer on; throws where it is not to be. */
export type Answering = (answer: IncomingMessage) => void;

/** The fields of a failure in the words of HTTP: when to come again, instead of gRPC's pushback. */
export function http1Words(fields: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const said = fields.some(([name]) => name === "retry-after");
  return fields.flatMap(([name, value]): (readonly [string, string])[] => {
    if (name !== PUSHBACK) return [[name, value]];
    return said ? [] : [["retry-after", String(Math.ceil(Number(value) / 1000))]];
  });
}
