import type { IncomingMessage, ServerResponse } from "node:http";
import type { Failure } from "../../http/call.ts";
import { answerFields, pairs } from "../../http/http1-head.ts";
import { pipePaced } from "../../net/paced-stream.ts";
import { reset } from "../../net/reset.ts";
import { EXPLAIN, explainedFailure } from "../explain-trailer.ts";
import type { CarriedRequest } from "./carried-request.ts";
import { type Answering, Http1Call, type Http1CallOptions, http1Words, type Making } from "./http1-call.ts";
import { http2Proxy } from "./http2-proxy.ts";

/** The methods of which a request without a body says so (RFC 9110 §8.6). */
const EXPECTS_BODY = new Set(["POST", "PUT", "PATCH"]);

/** A request with a response. */
export class Http1Exchange extends Http1Call {
  private readonly response: ServerResponse;

  constructor(options: Http1CallOptions, response: ServerResponse) {
    super(options);
    this.response = response;
    response.once("close", () => {
      if (!response.writableFinished) this.abandon("closed");
    });
    response.on("error", () => {});
    options.request.on("error", () => {});
  }

  protected override send(make: Making, answer: Answering): Promise<void> {
    return http2Proxy.web(this.request, this.response, {
      onReq: () => make(),
      onRes: (_request, _response, incoming) => answer(incoming),
    });
  }

  override sayLast(): boolean {
    const { response } = this;
    if (!response.headersSent) response.shouldKeepAlive = false;
    return !response.shouldKeepAlive;
  }

  protected override get headSent(): boolean {
    return this.response.headersSent;
  }

  protected override framing(): readonly (readonly [string, string])[] {
    const { headers, method = "" } = this.request;
    if (headers["transfer-encoding"] !== undefined) return [["transfer-encoding", "chunked"]];
    return headers["content-length"] === undefined && EXPECTS_BODY.has(method) ? [["content-length", "0"]] : [];
  }

  protected override attend(upstream: CarriedRequest): void {
    const { response, request } = this;
    upstream.on("continue", () => {
      if (!response.headersSent && request.headers.expect !== undefined) response.writeContinue();
    });
    upstream.on("information", ({ statusCode, rawHeaders }) => {
      // HTTP/1.0 knows none, RFC 9110 §15.2.
      if (response.headersSent || request.httpVersion === "1.0" || statusCode === 100) return;
      const fields = answerFields(rawHeaders, (name) => name.startsWith("outrigger-"));
      response.writeInformation(statusCode, Object.fromEntries(fields));
    });
  }

  protected override pass(answer: IncomingMessage, fields: readonly (readonly [string, string])[]): void {
    const { response, call } = this;
    response.sendDate = false;
    const inTrailers = call.explained && this.canTrail(answer) && this.readsTrailers;
    const said = inTrailers ? undefined : this.explanation();
    const framed = inTrailers ? chunked(fields) : said === undefined ? fields : [...fields, said];
    const isWhole = !this.canTrail(answer) || framed.some(([name]) => name === "content-length");
    // Node does not send one that announces what cannot come.
    const told = isWhole ? framed.filter(([name]) => name !== "trailer") : framed;
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? "", told.flat());
    answer.on("data", (chunk: Buffer) => this.sent(chunk.length));
    answer.once("end", () => {
      const trailers = pairs(answer.rawTrailers);
      const last = inTrailers ? this.explanation() : undefined;
      if (last !== undefined) trailers.push([...last]);
      if (trailers.length > 0) response.addTrailers(trailers);
    });
    pipePaced(answer, response, this.target?.bandwidth?.response);
  }

  /** Whether the answer can have trailers (RFC 9110 §6.4.1, RFC 9112 §7.1.2). */
  private canTrail({ statusCode }: IncomingMessage): boolean {
    const { method, httpVersion } = this.request;
    return httpVersion !== "1.0" && method !== "HEAD" && statusCode !== 204 && statusCode !== 304;
  }

  /** RFC 9110 §10.1.4. */
  private get readsTrailers(): boolean {
    const codings = String(this.request.headers.te ?? "")
      .toLowerCase()
      .split(",");
    return codings.some((coding) => coding.trim() === "trailers");
  }

  protected override carried(): void {
    if (this.response.writableFinished) this.complete();
    else this.abandon("closed");
  }

  protected override answer(what: Failure): void {
    const { response, services, call } = this;
    if (response.headersSent) {
      // A cut answer must not be taken for a whole one, as one of HTTP/1.0 would be that just ends.
      reset(this.request.socket);
      return;
    }
    const explained = explainedFailure(services.explanations, call, what);
    const { status, fields, body } = services.reply.http(explained, call.identity !== undefined);
    call.httpStatus = what.reason === "HEADERS_TOO_LARGE" ? 431 : status;
    response.writeHead(call.httpStatus, http1Words(fields).flat());
    response.end(body);
  }
}

/** Fields of an answer whose explanation comes in trailers, which are announced: with a length it could have none. */
function chunked(fields: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return [...fields.filter(([name]) => name !== "content-length"), ["trailer", EXPLAIN]];
}
