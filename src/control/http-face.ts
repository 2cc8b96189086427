import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import { type HttpAnswer, type HttpRequest, problem } from "./http-answer.ts";

/** What a small HTTP listener answers, and how. */
export interface HttpFaceOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a connection may carry another request. */
  readonly keepAlive: boolean;
  readonly answer: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
}

/** Milliseconds for a request to come in whole, and for its answer to be taken. */
const EXCHANGE = 10_000;
/** The same until the next request of a connection begins. */
const IDLE = 60_000;
const MAX_HEADER_SIZE = 16_384;
const MAX_BODY = 65_536;

/**
 * HTTP/1.1 over sockets that others have accepted: reads a request, asks for the answer, writes it.
 *
 * Invariant: every open connection has a timer armed, so that none is held for longer than its peer takes part. (Node.js
 * enforces the timeouts of its server only while that server listens itself.)
 */
export class HttpFace {
  private readonly options: HttpFaceOptions;
  private readonly server: Server;
  private readonly timers = new WeakMap<Socket, Timer>();

  constructor(options: HttpFaceOptions) {
    this.options = options;
    this.server = createServer(
      { maxHeaderSize: MAX_HEADER_SIZE, requireHostHeader: false, keepAliveTimeout: 0 },
      (request, response) => void this.exchange(request, response),
    );
    this.server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
      if (error.code === "HPE_HEADER_OVERFLOW") refuse(stream, 431, `the header is over ${MAX_HEADER_SIZE} octets`);
      else refuse(stream, 400, "the request is malformed");
    });
  }

  /** Takes a socket. Octets that were read of it already have been put back. */
  accept(socket: Socket): void {
    socket.once("close", () => this.timers.get(socket)?.cancel());
    this.arm(socket, EXCHANGE);
    this.server.emit("connection", socket);
    socket.resume();
  }

  private arm(socket: Socket, ms: number): void {
    this.timers.get(socket)?.cancel();
    const timer = this.options.clock.setTimer(ms, () => socket.destroy());
    this.timers.set(socket, timer);
  }

  private async exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    this.arm(socket, EXCHANGE);
    response.on("error", () => socket.destroy());
    let answer: HttpAnswer;
    try {
      answer = await this.answerTo(request);
    } catch (error) {
      if (request.destroyed && !request.complete) return;
      this.options.log.error({ err: error, path: request.url?.slice(0, 256) }, "a fault of our own in an answer");
      answer = problem(500, "a fault of our own; the log says more");
    }
    const { after } = answer;
    response.once("close", () => {
      after?.();
      if (!socket.destroyed) this.arm(socket, IDLE);
    });
    this.arm(socket, EXCHANGE);
    const body = Buffer.isBuffer(answer.body) ? answer.body : Buffer.from(answer.body);
    response.writeHead(answer.status, {
      "content-type": answer.contentType,
      "content-length": body.length,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(this.options.keepAlive && request.complete ? {} : { connection: "close" }),
      ...answer.headers,
    });
    response.end(body);
  }

  private async answerTo(request: IncomingMessage): Promise<HttpAnswer> {
    const target = request.url ?? "";
    // RFC 9112 §3.2: two Host fields are an error; which of them was meant is anybody's guess.
    if (request.rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === "host").length > 1)
      return problem(400, "more than one Host field");
    if (!target.startsWith("/")) return problem(400, "the request target is not a path");
    const body = await read(request);
    if (body === undefined) return problem(413, `the body is over ${MAX_BODY} octets`);
    const headers: Record<string, string | undefined> = Object.create(null);
    for (const [name, value] of Object.entries(request.headers))
      headers[name] = Array.isArray(value) ? value[0] : value;
    const { path, query } = splitTarget(target);
    return await this.options.answer({
      method: request.method ?? "",
      path,
      query: new URLSearchParams(query),
      headers,
      localAddress: request.socket.localAddress,
      remoteAddress: request.socket.remoteAddress,
      body,
    });
  }
}

function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** The body, or undefined where it is too large. */
async function read(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Answers what is no request, and closes. */
function refuse(socket: NodeJS.WritableStream & { destroy(): void }, status: number, error: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { contentType, body } = problem(status, error);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: ${contentType}\r\n`;
  socket.end(`${head}Content-Length: ${body.length}\r\n\r\n${body.toString()}`);
}
