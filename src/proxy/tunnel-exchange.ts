import type { Endpoint } from "../cluster/endpoint.ts";
import { clip } from "../core/clip.ts";
import { type Call, type Failure, failure } from "../http/call.ts";
import { asConnect, asGet, connectProtocol, WEBSOCKET } from "../http/extended-connect.ts";
import type { Head } from "../http/headers.ts";
import { http1Label } from "../http/http1-head.ts";
import type { Connection } from "../http2/connection.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream } from "../http2/stream.ts";
import { Attempt, type Sending } from "./attempt.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeServices } from "./services.ts";
import { UpgradeAttempt } from "./sockets/upgrade-attempt.ts";
import type { Router, Target, Unrouted } from "./target.ts";

/**
 * A WebSocket over HTTP/2 (RFC 8441): a call whose two halves are octets, from an extended CONNECT to the end of its stream. Filters,
 * routes and policies see the GET that it would be over HTTP/1.1. Its timeout is for the answer, `idleTimeout` for what comes after.
 */
export class TunnelExchange extends Exchange {
  private readonly protocol: string;
  private isOpen = false;

  constructor(call: Call, down: Stream, ended: boolean, services: ExchangeServices, unrouted: Unrouted) {
    super(call, down, ended, services, unrouted);
    this.protocol = connectProtocol(call.head);
    call.head = asGet(services.headers, call.head);
    call.webSocket = true;
    call.label = http1Label("GET");
  }

  override begin(router: Router): void {
    if (this.protocol === WEBSOCKET) super.begin(router);
    else {
      const detail = `${clip(this.protocol)} is no protocol that is carried over HTTP/2, ${WEBSOCKET} is`;
      this.refuse(failure("CONNECT_UNSUPPORTED", detail, { unprocessed: true }));
    }
  }

  protected override sendingTo(target: Target): Sending {
    return target.sockets === undefined ? new TunnelAttempt(target, this) : new UpgradeAttempt(target, this);
  }

  /** Once it is open it may last. */
  override expired(): Failure | undefined {
    return this.isOpen ? undefined : super.expired();
  }

  override passHead(head: Head, end: boolean): void {
    const { call } = this;
    call.httpStatus = Number(head.get(":status"));
    // RFC 8441 §5: a 2xx "indicates that the WebSocket connection has been established".
    this.isOpen = call.httpStatus >= 200 && call.httpStatus < 300;
    if (this.isOpen) this.forgetDeadline();
    super.passHead(end ? head : this.withExplanation(head), end);
  }

  protected override reply(what: Failure): void {
    // RFC 8441 §5: what is a reset of TCP is RST_STREAM with CANCEL.
    if (this.headSent) this.down.reset(ErrorCode.CANCEL);
    else {
      const { call, services } = this;
      call.httpStatus = services.reply.http(what, call.identity !== undefined).status;
      super.reply(what);
    }
  }
}

/** An attempt at it at an upstream that speaks HTTP/2. */
class TunnelAttempt extends Attempt {
  override onConnection(endpoint: Endpoint, connection: Connection): void {
    // RFC 8441 §4: nobody is asked who has not sent the setting. The SETTINGS of who is handed out have come.
    if (connection.peer.extendedConnect) super.onConnection(endpoint, connection);
    else {
      const detail = `${endpoint.label} does not say in its SETTINGS that it takes WebSockets over HTTP/2`;
      this.give(failure("CONNECT_UNSUPPORTED", detail, { unprocessed: true }));
    }
  }

  protected override requestHead(): Head {
    return asConnect(this.host.services.headers, super.requestHead());
  }
}
