import type { IncomingMessage, ServerResponse } from "node:http";
import type { Failure } from "../http/call.ts";
import { answerFields, pairs } from "../http/http1-head.ts";
import { reset } from "../net/reset.ts";
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
    const { response } = this;
    response.sendDate = false;
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? "", fields.flat());
    answer.on("data", (chunk: Buffer) => this.sent(chunk.length));
    answer.once("end", () => {
      if (answer.rawTrailers.length > 0) response.addTrailers(pairs(answer.rawTrailers));
    });
    answer.pipe(response);
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
    const { status, fields, body } = services.reply.http(what, call.identity !== undefined);
    call.httpStatus = what.reason === "HEADERS_TOO_LARGE" ? 431 : status;
    response.writeHead(call.httpStatus, http1Words(fields).flat());
    response.end(body);
  }
}
