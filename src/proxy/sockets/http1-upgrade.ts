import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../../core/clock.ts";
import { IdleWatch } from "../../core/idle-watch.ts";
import { type Failure, failure } from "../../http/call.ts";
import { cutOff } from "../../net/reset.ts";
import { explainedFailure } from "../explain-trailer.ts";
import type { CarriedRequest } from "./carried-request.ts";
import { type Answering, Http1Call, type Http1CallOptions, http1Words, type Making } from "./http1-call.ts";
import { http2Proxy } from "./http2-proxy.ts";

/**
 * A request to go over to WebSocket, and the connection that comes of it: one call until either end closes it. Its timeout is for
 * the answer, `idleTimeout` for what comes after.
 */
export class Http1Upgrade extends Http1Call {
  private readonly socket: Duplex;
  private readonly first: Buffer;
  private readonly clock: Clock;
  private phase: "asking" | "open" | "declined" = "asking";
  private lost: string | undefined = undefined;
  private idle: IdleWatch | undefined = undefined;
  /** The upstream's side of an open connection. */
  private peer: Duplex | undefined = undefined;

  /** `first`: what came after the head of the request already. */
  constructor(options: Http1CallOptions, socket: Duplex, first: Buffer, clock: Clock) {
    super(options);
    this.socket = socket;
    this.first = first;
    this.clock = clock;
    // Told before the package, which ends the upstream's connection as if all had been said.
    socket.on("error", () => cutOff(this.peer));
    socket.on("readable", this.peek);
    socket.on("end", this.left);
    socket.once("close", () => {
      this.idle?.stop();
      if (this.phase === "asking") this.abandon("closed");
      else this.carried();
    });
  }

  /** Nobody reads of the caller before there is an answer, and only who reads is told that it has gone. What it says stays there. */
  private readonly peek = (): void => {
    if (this.socket.readableLength === 0) this.socket.read(0);
  };

  private readonly left = (): void => void this.socket.destroy();

  private unwatch(): void {
    this.socket.off("readable", this.peek);
    this.socket.off("end", this.left);
  }

  protected override send(make: Making, answer: Answering): Promise<void> {
    // The token is case-insensitive (RFC 9110 §7.8), and the package compares it as it stands.
    this.request.headers.upgrade = "websocket";
    return http2Proxy.ws(this.request, this.socket, this.first, {
      onReq: () => make(),
      onRes: (_request, _socket, incoming) => answer(incoming),
    });
  }

  protected override get headSent(): boolean {
    return this.phase !== "asking";
  }

  protected override get isUpgrade(): boolean {
    return true;
  }

  protected override framing(): readonly (readonly [string, string])[] {
    return [
      ["connection", "Upgrade"],
      ["upgrade", "websocket"],
    ];
  }

  /** Is told before the package, which joins both sockets. */
  protected override attend(upstream: CarriedRequest): void {
    upstream.on("upgrade", (answer: IncomingMessage, peer: Duplex) => this.opened(answer, peer));
  }

  private opened({ headers }: IncomingMessage, peer: Duplex): void {
    this.phase = "open";
    this.peer = peer;
    this.unwatch();
    this.call.httpStatus = 101;
    this.answering();
    const [field, text] = this.explanation() ?? [];
    for (const name of Object.keys(headers)) if (name.startsWith("outrigger-")) delete headers[name];
    if (field !== undefined) headers[field] = text;
    this.forgetDeadline();
    const idle = this.target?.sockets?.idle;
    const end = (): void => this.refuse(failure("IDLE_TIMEOUT", `nothing of the WebSocket has moved for ${idle} ms`));
    const watch = idle === undefined ? undefined : new IdleWatch(this.clock, idle, end);
    this.idle = watch;
    this.socket.on("data", ({ length }: Buffer) => {
      watch?.moved();
      this.call.bytesReceived += length;
      this.target?.series.received(length);
    });
    peer.on("data", ({ length }: Buffer) => {
      watch?.moved();
      this.sent(length);
    });
    peer.once("close", () => {
      if (peer.readableEnded) this.socket.end();
      else {
        this.lost ??= "closed";
        cutOff(this.socket);
      }
    });
  }

  /** The upstream does not go over: its answer is one as any other, after which the connection ends. */
  protected override pass(answer: IncomingMessage, fields: readonly (readonly [string, string])[]): void {
    this.unwatch();
    this.phase = "declined";
    const { statusCode = 502, statusMessage = "" } = answer;
    const said = this.explanation();
    this.socket.write(headText(statusCode, statusMessage, said === undefined ? fields : [...fields, said]));
    answer.on("data", ({ length }: Buffer) => this.sent(length));
    answer.pipe(this.socket);
  }

  protected override carried(): void {
    this.idle?.stop();
    if (this.isOver) return;
    if (this.phase === "asking") this.abandon("closed");
    else this.complete();
  }

  protected override answer(what: Failure): void {
    const { services, socket, call } = this;
    this.idle?.stop();
    if (this.headSent) {
      cutOff(this.socket);
      return;
    }
    this.phase = "declined";
    this.unwatch();
    const explained = explainedFailure(services.explanations, call, what);
    const { status, fields, body } = services.reply.http(explained, call.identity !== undefined);
    call.httpStatus = status;
    socket.write(headText(status, "", http1Words(fields)));
    socket.end(body);
  }

  protected override leaveUpstream(): void {
    super.leaveUpstream();
    if (this.phase === "open") cutOff(this.socket);
  }

  /** Where the upstream has broken an open connection, that is what became of it. */
  protected override complete(): void {
    if (this.phase === "open" && this.lost !== undefined)
      this.failed(failure("UPSTREAM_LOST", `the upstream's connection was lost: ${this.lost}`), undefined);
    else super.complete();
  }
}

function headText(status: number, message: string, fields: readonly (readonly [string, string])[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${status} ${message || (STATUS_CODES[status] ?? "")}\r\n${lines}connection: close\r\n\r\n`;
}
