import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import type { Logger } from "pino";
import type { Clock } from "../core/clock.ts";
import { sourceOf } from "../core/source-address.ts";
import { SparingLog } from "../core/sparing-log.ts";
import { isTls } from "../net/detect.ts";
import type { WorkloadCertificate } from "./certificate.ts";
import type { Credentials } from "./credentials.ts";
import { HandshakeCount, type HandshakeLimits } from "./handshake-limits.ts";
import { chainOf } from "./tls-chain.ts";
import { codeOf, type HandshakeResult, handshakeFailure, plainText } from "./tls-failure.ts";

/** What is spoken on a listener: plaintext, whatever the client begins with, or TLS. */
export type MtlsMode = "disabled" | "permissive" | "strict";

/** Who takes the connections that come in. */
export interface DoorHandler {
  /** A plaintext connection; `arrived` has been read of it already. */
  plain(socket: Socket, peer: string, arrived: Buffer | undefined): void;
  /** A connection whose peer has proven who it is. */
  secured(socket: TLSSocket, peer: string, who: WorkloadCertificate, own: WorkloadCertificate): void;
}

/** How a listener takes connections that may or may not speak TLS. */
export interface DoorOptions {
  /** Both in force, asked for each connection. */
  readonly mode: () => MtlsMode;
  readonly limits: () => HandshakeLimits;
  /** Chooses what is spoken over TLS of what a client offers (ALPN); undefined: nothing of it, and the client is refused. */
  readonly choose: (offered: readonly string[]) => string | undefined;
  /** Milliseconds after which a connection that may be either and says nothing is plaintext; undefined: it has to say something. */
  readonly silence: () => number | undefined;
  /** Undefined where there is no valid certificate. */
  readonly credentials: () => Credentials | undefined;
  readonly counted: (result: HandshakeResult | "plaintext") => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One connection between its acceptance and the end of its handshake. */
interface Entering {
  readonly peer: string;
  /** Its address. */
  readonly source: string;
  readonly credentials: Credentials;
  /** It is in, or has been refused: true the first time. */
  readonly leave: () => boolean;
}

/**
 * Lets connections in: tells plaintext from TLS by what comes first, makes handshakes, and finds out who is at the other end.
 *
 * Invariants: every connection ends in exactly one of a handler's call, or its destruction and a count of why; one that is
 * neither done nor closed within `limits.timeout` is closed.
 */
export class Door {
  private readonly options: DoorOptions;
  private readonly handler: DoorHandler;
  private readonly count = new HandshakeCount();
  private readonly refusals: SparingLog;
  /** Which connection an event of the TLS server is about, for the event itself does not say of what it was made. */
  private readonly entering = new AsyncLocalStorage<Entering>();
  private readonly transports = new WeakMap<object, Entering>();
  private server: { readonly of: Credentials; readonly tls: Server } | undefined = undefined;

  constructor(options: DoorOptions, handler: DoorHandler) {
    this.options = options;
    this.handler = handler;
    const message = "a connection was refused: its TLS handshake did not succeed";
    this.refusals = new SparingLog(options.log, "info", message, options.clock);
  }

  /** Takes a socket that was accepted in this tick. */
  take(socket: Socket, peer: string): void {
    const mode = this.options.mode();
    if (mode === "disabled") {
      this.handler.plain(socket, peer, undefined);
      return;
    }
    const leave = this.enter(socket, peer);
    if (leave === undefined) return;
    if (mode === "strict") this.handshake(socket, peer, leave);
    else this.detect(socket, peer, leave);
  }

  /** Closes a connection that is not in yet, for another one; false where there is none. */
  makeRoom(): boolean {
    return this.count.giveWay();
  }

  /** Handshakes under way, connections that have said nothing yet among them. */
  get underWay(): number {
    return this.count.size;
  }

  /** Counts the connection and bounds its time; undefined where it may not come in. */
  private enter(socket: Socket, peer: string): Entering["leave"] | undefined {
    const { clock, limits, counted, log } = this.options;
    const source = sourceOf(socket.remoteAddress ?? "");
    const { timeout } = limits();
    socket.on("error", ignore);
    const giveUp = (result: HandshakeResult, why: string): void => {
      if (!leave()) return;
      counted(result);
      log.debug({ peer, result }, why);
      socket.destroy();
    };
    // What TLS has to say of it comes right after this.
    const gone = (): unknown =>
      clock.setTimer(0, () => giveUp("failed", "the peer went away before its TLS handshake was done"));
    const giveWay = (): void => giveUp("limit", "another handshake has taken its place");
    const end = this.count.begin(source, limits(), clock.now(), giveWay);
    if (end === undefined) {
      counted("limit");
      socket.destroy();
      return undefined;
    }
    const timer = clock.setTimer(timeout, () => giveUp("timeout", `no TLS handshake within ${timeout} ms`));
    let isEntering = true;
    const leave = (): boolean => {
      const was = isEntering;
      isEntering = false;
      if (!was) return false;
      timer.cancel();
      socket.off("close", gone);
      end();
      return true;
    };
    socket.once("close", gone);
    return leave;
  }

  private detect(socket: Socket, peer: string, leave: Entering["leave"]): void {
    const { clock, silence, counted } = this.options;
    const plain = (first: Buffer | undefined): void => {
      leave();
      socket.off("error", ignore);
      counted("plaintext");
      this.handler.plain(socket, peer, first);
    };
    const read = (): void => {
      timer?.cancel();
      const first: unknown = socket.read();
      // Nothing to read: the peer has gone, and "close" follows.
      if (!Buffer.isBuffer(first)) {
        socket.destroy();
        return;
      }
      if (isTls(first)) {
        socket.unshift(first);
        this.handshake(socket, peer, leave);
        return;
      }
      plain(first);
    };
    socket.once("readable", read);
    const after = silence();
    const timer =
      after === undefined
        ? undefined
        : clock.setTimer(after, () => {
            socket.off("readable", read);
            if (!socket.destroyed) plain(undefined);
          });
    if (timer !== undefined) socket.once("close", () => timer.cancel());
  }

  private handshake(socket: Socket, peer: string, leave: Entering["leave"]): void {
    const credentials = this.options.credentials();
    if (credentials === undefined) {
      leave();
      this.refuse(socket, peer, "noIdentity", "this sidecar has no valid certificate");
      return;
    }
    const { limits, clock, counted } = this.options;
    const source = sourceOf(socket.remoteAddress ?? "");
    if (!this.count.mayProve(source, limits(), clock.now())) {
      leave();
      counted("limit");
      socket.destroy();
      return;
    }
    const entering = { peer, source, credentials, leave };
    this.transports.set(socket, entering);
    this.entering.run(entering, () => this.serverOf(credentials).emit("connection", socket));
  }

  private serverOf(credentials: Credentials): Server {
    if (this.server?.of === credentials) return this.server.tls;
    const tls = credentials.server(this.options.choose);
    tls.on("secureConnection", (socket) => this.finish(socket));
    tls.on("tlsClientError", (error, socket) => this.failed(error, socket));
    this.server = { of: credentials, tls };
    return tls;
  }

  private finish(socket: TLSSocket): void {
    const entering = this.entering.getStore();
    if (entering === undefined || !entering.leave()) {
      socket.destroy();
      return;
    }
    const { peer, source, credentials } = entering;
    const who = credentials.peer(socket.getPeerX509Certificate(), () => chainOf(socket), this.options.clock.wall());
    if ("refused" in who) {
      this.refuse(socket, peer, who.refused, who.why);
      return;
    }
    this.count.proven(source);
    this.options.counted(socket.isSessionReused() ? "resumed" : "ok");
    this.handler.secured(socket, peer, who, credentials.own);
  }

  private failed(error: Error, socket: TLSSocket): void {
    // A connection that was closed over the peer's certificate ends outside of its own context.
    const entering = this.entering.getStore() ?? this.transports.get(Object(Reflect.get(socket, "_parent")));
    if (entering === undefined || !entering.leave()) return;
    const verdict: unknown = socket.authorizationError;
    const known = typeof verdict === "string" && verdict !== "" ? verdict : undefined;
    this.refuse(socket, entering.peer, handshakeFailure(known ?? codeOf(error)), known ?? plainText(error.message));
  }

  private refuse(socket: Socket, peer: string, result: HandshakeResult, why: string): void {
    this.options.counted(result);
    this.refusals.tell({ peer, result, why });
    socket.on("error", ignore);
    socket.destroy();
  }
}

function ignore(): void {}
