import type { Socket } from "node:net";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SecurePeer } from "../../cluster/pool/connect.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import type { Clock } from "../../core/clock.ts";
import { type Call, type Failure, failure } from "../../http/call.ts";
import { type Reason, reasons, Status } from "../../http/reason.ts";
import { ACCEPTED, readVerdict, refused } from "../../http/tcp-verdict.ts";
import { codeOf } from "../../identity/tls-failure.ts";
import { Join, type JoinEnd } from "../../net/join.ts";
import { reset } from "../../net/reset.ts";
import { lostConnection } from "../lost.ts";
import type { ExchangeServices } from "../services.ts";
import type { Unrouted } from "../target.ts";
import { SocketCall } from "./socket-call.ts";

/** A connection of TCP as it was accepted. */
export interface TcpCallOptions {
  readonly call: Call;
  readonly socket: Socket;
  /** What has been read of it already. */
  readonly arrived: Buffer | undefined;
  /** The caller is a sidecar, which is told what becomes of the connection before anything else. */
  readonly told: boolean;
  readonly services: ExchangeServices;
  readonly unrouted: Unrouted;
  readonly clock: Clock;
  readonly over: () => void;
}

/** Milliseconds until a sidecar that was called has said what becomes of the connection; it may have to look for its application. */
const VERDICT_TIMEOUT = 15_000;

/** A connection of TCP: one call, from its acceptance to its end. */
export class TcpCall extends SocketCall {
  private readonly options: TcpCallOptions;
  private readonly socket: Socket;
  private upstream: Socket | undefined = undefined;
  private joined: Join | undefined = undefined;

  /** The socket is paused and has no reader. */
  constructor(options: TcpCallOptions) {
    super(options.call, options.services, options.unrouted);
    this.options = options;
    this.socket = options.socket;
    this.socket.on("error", this.gone);
    this.socket.once("close", this.gone);
  }

  /** Ends it, whatever becomes of what is on its way. True where it was under way. */
  cut(why: string): boolean {
    if (this.isOver) return false;
    this.refuse(failure("DRAINING", why));
    return true;
  }

  private readonly gone = (): void => {
    // Once both are joined the end of each is what the other one sees.
    if (this.joined !== undefined) return;
    this.abandon("closed");
    this.options.over();
  };

  protected override carry(endpoint: Endpoint, lease: SocketLease): void {
    if (lease.kind !== "fresh") throw new Error("a connection of TCP is nobody else's");
    this.upstream = lease.socket;
    if (lease.peer?.isSidecar === true) this.hear(endpoint, lease.socket, lease.peer);
    else this.join(endpoint, lease.socket, undefined, lease.peer);
  }

  /** Waits for the word of the sidecar that was called. */
  private hear(endpoint: Endpoint, upstream: Socket, peer: SecurePeer): void {
    let heard = Buffer.alloc(0);
    const { clock } = this.options;
    const settle = (): void => {
      timer.cancel();
      upstream.off("readable", read);
      upstream.off("close", ended);
      upstream.off("error", broke);
    };
    // Nothing has left for the application before that word: whatever comes instead, it can be asked elsewhere.
    const fail = (reason: Reason, why: string, isFinal = false): void => {
      settle();
      upstream.destroy();
      this.failed(failure(reason, why, { unprocessed: true }), isFinal ? undefined : "sidecar");
    };
    const lost = (why: string): void => fail("UPSTREAM_LOST", `${endpoint.label} did not take the connection: ${why}`);
    const ended = (): void => lost("it was closed");
    const broke = (error: Error): void => {
      const { reason, message } = peer.explain(error.message);
      fail(reason, message);
    };
    const read = (): void => {
      const chunk: unknown = upstream.read();
      if (!Buffer.isBuffer(chunk)) return;
      heard = Buffer.concat([heard, chunk]);
      const verdict = readVerdict(heard);
      if (verdict.kind === "open") return;
      if (verdict.kind === "nonsense") fail("PROTOCOL", `${endpoint.label} said nothing that a sidecar says`);
      else if (verdict.kind === "refused") {
        // What one sidecar of a service forbids, the others forbid as well.
        const isFinal = reasons[verdict.reason].retry === "never";
        fail(verdict.reason, `the sidecar of ${endpoint.label} refused the connection`, isFinal);
      } else {
        settle();
        this.join(endpoint, upstream, verdict.rest);
      }
    };
    const timer = clock.setTimer(VERDICT_TIMEOUT, () => lost(`nothing within ${VERDICT_TIMEOUT} ms`));
    upstream.on("readable", read);
    upstream.once("close", ended);
    upstream.once("error", broke);
  }

  /** `said`: the upstream's first octets, which have been read already. `peer`: who is there by TLS and says nothing of its own. */
  private join(endpoint: Endpoint, upstream: Socket, said: Buffer | undefined, peer?: SecurePeer): void {
    const { socket, options, call, target } = this;
    this.answering();
    socket.off("error", this.gone);
    socket.off("close", this.gone);
    if (options.told) socket.write(ACCEPTED);
    if (said !== undefined && said.length > 0) {
      call.bytesSent += said.length;
      target?.series.sent(said.length);
      socket.write(said);
    }
    const idle = target?.sockets?.idle;
    this.joined = new Join(
      socket,
      upstream,
      options.arrived,
      { clock: options.clock, idle, pace: target?.bandwidth },
      {
        sent: (octets) => {
          call.bytesReceived += octets;
          target?.series.received(octets);
        },
        received: (octets) => {
          call.bytesSent += octets;
          target?.series.sent(octets);
        },
        over: (end) => {
          this.ended(endpoint, end, call.bytesSent === 0 ? peer : undefined);
          options.over();
        },
      },
    );
  }

  /** `silent`: who is there, where it has not said anything. */
  private ended(endpoint: Endpoint, end: JoinEnd, silent: SecurePeer | undefined): void {
    if (this.isOver) return;
    const outcome = { status: Status.OK, reason: undefined, origin: "app", detail: undefined } as const;
    switch (end.kind) {
      case "ended":
        this.finish(outcome, "ok");
        return;
      case "idle":
        this.finish({ ...failure("IDLE_TIMEOUT", ""), origin: "proxy", detail: undefined }, "ok");
        return;
      case "cut":
        this.finish({ ...outcome, status: Status.UNAVAILABLE, reason: "DRAINING", origin: "proxy" }, "cancelled");
        return;
      case "broken":
        if (end.side === "from") this.abandon("reset");
        else this.lost(endpoint, end.error, silent);
    }
  }

  private lost(endpoint: Endpoint, error: Error | undefined, silent: SecurePeer | undefined): void {
    const why = error?.message ?? "closed";
    // In TLS 1.3 a server refuses a certificate once the client is done with the handshake.
    const isRefused = error !== undefined && silent !== undefined && codeOf(error).startsWith("ERR_SSL");
    const refused = isRefused ? silent.explain(why) : undefined;
    const { reason, detail } =
      refused === undefined ? lostConnection(endpoint, why) : failure(refused.reason, refused.message);
    this.finish({ status: Status.UNAVAILABLE, reason, origin: "proxy", detail }, "failure");
  }

  protected override answer(what: Failure): void {
    if (this.joined !== undefined) return;
    const { socket, options } = this;
    if (!options.told || socket.destroyed) {
      reset(socket);
      return;
    }
    socket.end(refused(what.reason));
    socket.resume();
    socket.setTimeout(VERDICT_TIMEOUT, () => socket.destroy());
  }

  protected override leaveUpstream(): void {
    if (this.joined === undefined) this.upstream?.destroy();
    else this.joined.cut();
  }
}
