import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { IdleWatch } from "../../core/idle-watch.ts";
import { type Failure, failure } from "../../http/call.ts";
import { watchHalfOpen } from "../../net/half-open.ts";
import { pipePaced } from "../../net/paced-stream.ts";
import { cutOff } from "../../net/reset.ts";
import { explainedFailure } from "../explain-trailer.ts";
import type { CarriedRequest } from "./carried-request.ts";
import { type Answering, Http1Call, type Http1CallOptions, http1Words, type Making } from "./http1-call.ts";
import { isSidecar } from "./http1-hop.ts";
import { http2Proxy } from "./http2-proxy.ts";

/** Octets that a caller may say before it is answered. RFC 6455 §4.1 lets it say none. */
const MAX_EARLY = 65_536;
/** Milliseconds for which a caller that has its answer may stay. */
const LINGER = 5000;

/**
 * A request to go over to WebSocket, and the connection that comes of it: one call until either end closes it. Its timeout is for
 * the answer, `idleTimeout` for what comes after.
 */
export class Http1Upgrade extends Http1Call {
  private readonly socket: Duplex;
  /** What the caller has said before it was answered. */
  private early: Buffer;
  private readonly clock: Clock;
  private phase: "asking" | "open" | "declined" = "asking";
  private lost: string | undefined = undefined;
  private idle: IdleWatch | undefined = undefined;
  /** The upstream's side of an open connection. */
  private peer: Duplex | undefined = undefined;
  private linger: Timer | undefined = undefined;

  /** `first`: what came after the head of the request already. */
  constructor(options: Http1CallOptions, socket: Duplex, first: Buffer, clock: Clock) {
    super(options);
    this.socket = socket;
    this.early = first;
    this.clock = clock;
    // Told before the package, which ends the upstream's connection as if all had been said.
    socket.on("error", () => this.abandon("reset"));
    socket.on("readable", this.listen);
    socket.on("end", this.left);
    socket.once("close", () => {
      this.idle?.stop();
      this.linger?.cancel();
      const isCut = this.lost === undefined && !socket.writableFinished;
      if (this.phase === "asking" || isCut) this.abandon("closed");
      else this.carried();
    });
  }

  /** Only who reads is told that the caller has gone. */
  private readonly listen = (): void => {
    while (this.early.length < MAX_EARLY) {
      const chunk: unknown = this.socket.read();
      if (!Buffer.isBuffer(chunk)) return;
      this.early = Buffer.concat([this.early, chunk]);
    }
  };

  private readonly left = (): void => void this.socket.destroy();

  /** There is an answer. */
  private stopListening(): void {
    this.socket.off("readable", this.listen);
    this.socket.off("end", this.left);
  }

  /** The connection ends with the answer; what the caller still says is of no interest. */
  private decline(): void {
    this.phase = "declined";
    this.stopListening();
    this.socket.resume();
    this.socket.once("finish", () => {
      this.linger = this.clock.setTimer(LINGER, () => this.socket.destroy());
    });
  }

  protected override async send(make: Making, answer: Answering): Promise<void> {
    // The token is case-insensitive (RFC 9110 §7.8), and the package compares it as it stands.
    this.request.headers.upgrade = "websocket";
    try {
      await http2Proxy.ws(this.request, this.socket, NOTHING, {
        onReq: () => make(),
        onRes: (_request, _socket, incoming) => answer(incoming),
      });
    } catch (error) {
      // The package takes an upstream's connection that closes for a lost one. Where it had said its end, the rest leaves as it may.
      if (this.peer?.readableEnded !== true) throw error;
      await finished(this.socket, { readable: false });
    }
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
  protected override attend(upstream: CarriedRequest, endpoint: Endpoint): void {
    upstream.on("upgrade", (answer: IncomingMessage, peer: Duplex) => this.opened(answer, peer, endpoint));
  }

  private opened(answer: IncomingMessage, peer: Duplex, endpoint: Endpoint): void {
    this.phase = "open";
    this.peer = peer;
    this.stopListening();
    if (this.early.length > 0) this.socket.unshift(this.early);
    this.call.httpStatus = 101;
    this.answering();
    const fields = [...this.passedOn(answer, endpoint, isSidecar(endpoint, endpoint.sockets?.peerOf(answer.socket)))];
    const said = this.explanation();
    if (said !== undefined) fields.push(said);
    writes(answer, [...this.framing(), ...fields]);
    this.forgetDeadline();
    const idle = this.target?.sockets?.idle;
    const end = (): void => this.refuse(failure("IDLE_TIMEOUT", `nothing of the WebSocket has moved for ${idle} ms`));
    const watch = idle === undefined ? undefined : new IdleWatch(this.clock, idle, end);
    this.idle = watch;
    for (const one of [this.socket, peer]) watchHalfOpen(one, this.clock);
    const { request, response } = this.target?.bandwidth ?? {};
    // The package pipes the one into the other, both ways.
    if (response !== undefined)
      this.socket.once("pipe", () => pipePaced(peer.unpipe(this.socket), this.socket, response));
    if (request !== undefined) peer.once("pipe", () => pipePaced(this.socket.unpipe(peer), peer, request));
    // Not before the package has put back what came with the answer: whoever listens by then has it, and nobody else.
    this.socket.once("pipe", () => {
      this.socket.on("data", ({ length }: Buffer) => {
        watch?.moved();
        this.call.bytesReceived += length;
        this.target?.series.received(length);
      });
      peer.on("data", ({ length }: Buffer) => {
        watch?.moved();
        this.sent(length);
      });
    });
    peer.once("close", () => {
      // Its end comes to the caller behind what it has said.
      if (peer.readableEnded) return;
      this.lost ??= "closed";
      cutOff(this.socket);
    });
  }

  /** The upstream does not go over: its answer is one as any other, after which the connection ends. */
  protected override pass(answer: IncomingMessage, fields: readonly (readonly [string, string])[]): void {
    this.decline();
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
    this.decline();
    const explained = explainedFailure(services.explanations, call, what);
    const { status, fields, body } = services.reply.http(explained, call.identity !== undefined);
    call.httpStatus = status;
    socket.write(headText(status, "", http1Words(fields)));
    socket.end(body);
  }

  protected override leaveUpstream(): void {
    super.leaveUpstream();
    cutOff(this.peer);
    if (this.phase === "open") cutOff(this.socket);
  }

  /** Where the upstream has broken an open connection, that is what became of it. */
  protected override complete(): void {
    if (this.phase === "open" && this.lost !== undefined)
      this.failed(failure("UPSTREAM_LOST", `the upstream's connection was lost: ${this.lost}`), undefined);
    else super.complete();
  }
}

const NOTHING = Buffer.alloc(0);

/** Has the package write these fields in its 101, which are those that it finds in the answer. */
function writes(answer: IncomingMessage, fields: readonly (readonly [string, string])[]): void {
  const all = new Map<string, string[]>();
  for (const [name, value] of fields) all.set(name, [...(all.get(name) ?? []), value]);
  // The types know names of which there is one value only.
  answer.headers = Object.fromEntries(all) as unknown as IncomingMessage["headers"];
}

function headText(status: number, message: string, fields: readonly (readonly [string, string])[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${status} ${message || (STATUS_CODES[status] ?? "")}\r\n${lines}connection: close\r\n\r\n`;
}
