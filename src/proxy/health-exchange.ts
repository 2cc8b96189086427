import { encodeResponse } from "../cluster/health-message.ts";
import { type Call, failure } from "../http/call.ts";
import { Status } from "../http/reason.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream } from "../http2/stream.ts";
import { Exchange } from "./exchange.ts";
import { MessageBoundary } from "./message-boundary.ts";
import type { ExchangeServices } from "./services.ts";
import type { Unrouted } from "./target.ts";

const SERVICE = "/grpc.health.v1.Health/";

/** Whether a call asks for the health of the application. */
export function isHealthCall(path: string): boolean {
  return path.startsWith(SERVICE) && (path === `${SERVICE}Check` || path === `${SERVICE}Watch`);
}

/**
 * A call of grpc.health.v1 by others. The application answers it until the sidecar begins to drain; from then on the answer is
 * NOT_SERVING, whatever the application says: a Check is answered with it, and it is what a Watch hears last.
 *
 * Invariant: NOT_SERVING is written once, between two messages of the application, and nothing of the application after it.
 */
export class HealthExchange extends Exchange {
  private readonly draining: () => boolean;
  private readonly boundary = new MessageBoundary();
  private begun = false;
  private told = false;

  /** `draining`: whether the drain has begun. */
  constructor(
    call: Call,
    down: Stream,
    ended: boolean,
    services: ExchangeServices,
    unrouted: Unrouted,
    draining: () => boolean,
  ) {
    super(call, down, ended, services, unrouted);
    this.draining = draining;
  }

  /** Whether all that is left of the call is that its caller has not gone. */
  get idle(): boolean {
    return this.told;
  }

  /** The drain has begun. */
  drain(): void {
    // Where filters have yet to decide, `start` comes later.
    if (!this.begun || this.isOver || this.told) return;
    if (this.boundary.between && (this.isWatch || !this.headSent)) this.tell();
  }

  /** The sidecar takes no more calls: a Watch has heard all there is. */
  endWatch(): void {
    if (this.told) this.refuse(failure("DRAINING", "the sidecar is shutting down"));
  }

  override passData(buffer: Buffer, start: number, end: number, fin: boolean): number {
    const taken = super.passData(buffer, start, end, fin);
    this.boundary.passed(buffer, start, end);
    // The drain began in the middle of a message.
    if (this.isWatch && !fin && this.draining()) this.drain();
    return taken;
  }

  override onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    if (this.told) this.down.release(end - start);
    else super.onData(buffer, start, end, fin);
  }

  protected override start(): void {
    this.begun = true;
    if (this.draining()) this.tell();
    else super.start();
  }

  private get isWatch(): boolean {
    return this.call.path === `${SERVICE}Watch`;
  }

  private tell(): void {
    const { headers } = this.services;
    this.told = true;
    this.leaveUpstream();
    if (!this.headSent) {
      const head = headers.head([
        [":status", "200"],
        ["content-type", "application/grpc"],
      ]);
      this.passHead(head, false);
    }
    const message = encodeResponse("NOT_SERVING");
    super.passData(message, 0, message.length, false);
    if (this.isWatch) return;
    this.passTrailers(headers.head([["grpc-status", String(Status.OK)]]));
    if (this.down.canReceive) this.down.resetWhenSent(ErrorCode.NO_ERROR);
    this.answered({ status: Status.OK, reason: undefined, origin: "proxy", detail: "the sidecar is shutting down" });
  }
}
