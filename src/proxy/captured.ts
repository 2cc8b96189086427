import type { Socket } from "node:net";
import type { Logger } from "pino";
import { type Address, formatAddress } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Direction } from "../http/reason.ts";
import { serverNameOf } from "../net/client-hello.ts";
import { type Spoken, spokenBy } from "../net/detect.ts";
import type { OriginalDestination } from "../net/original-destination.ts";
import { CAME_BACK, type LoopGuard } from "./loop-guard.ts";
import type { Relays } from "./relay.ts";
import type { Arrival } from "./sockets/socket-acceptor.ts";

/** What becomes of a connection that was going somewhere. */
export type Passage =
  /** It is one of the mesh, whatever its octets are. */
  | { readonly kind: "mesh" }
  /** It is looked at: HTTP/2 is the mesh's, everything else is passed on to there. */
  | { readonly kind: "look"; readonly onward: Address | undefined }
  /** It is a call of an upstream that speaks TCP, whatever its octets are. */
  | { readonly kind: "call"; readonly upstream: string }
  /** It is passed on, and not looked at. */
  | { readonly kind: "relay"; readonly onward: Address }
  | { readonly kind: "refuse"; readonly why: string };

/** How connections that came in by redirection ended up. */
export type CaptureResult = "mesh" | "relayed" | "refused" | "unreachable";

/** What becomes of redirected connections. */
export interface CapturedOptions {
  readonly direction: Direction;
  /** Undefined: nobody can tell. Then HTTP/2 goes into the mesh, and everything else is refused. */
  readonly destination: OriginalDestination | undefined;
  /** Decides by where a connection was going. */
  readonly passage: (destination: Address) => Passage;
  /** Takes a connection of the mesh; `arrived` has been read of it already. */
  readonly mesh: (socket: Socket, peer: string, arrived: Buffer | undefined, destination: Address | undefined) => void;
  /** Whether HTTP/1.1 to there is taken as such, or passed on as TCP is. */
  readonly takesHttp1: (destination: Address | undefined) => boolean;
  readonly http1: (arrival: Arrival) => void;
  /** The upstream that speaks TCP and is called by a name, of TLS that is passed on. */
  readonly named: (name: string) => string | undefined;
  /** Takes a connection as a call of an upstream that speaks TCP. */
  readonly call: (arrival: Arrival, upstream: string) => void;
  readonly relays: Relays;
  readonly loops: LoopGuard;
  readonly counted: (result: CaptureResult, spoken: Spoken) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds in which a client says what it speaks, once it is known that its server cannot be reached, or may not be. */
const LAST_WORD = 1_000;

/**
 * Connections that were redirected to the sidecar: each goes on to where it was going, or into the mesh, by what it speaks.
 *
 * Nobody is waited for: the server is dialled while the client's first octets are awaited, and who speaks first decides. A
 * server that does speaks no HTTP, so its connection is passed on at once; HTTP/2 gives the dial up.
 */
export class Captured {
  private readonly options: CapturedOptions;

  constructor(options: CapturedOptions) {
    this.options = options;
  }

  /** Takes a socket that was accepted in this tick. */
  take(socket: Socket, peer: string): void {
    const { destination, passage, loops } = this.options;
    if (loops.take(socket)) {
      this.refuse(socket, peer, undefined, CAME_BACK);
      return;
    }
    if (destination === undefined) {
      new Looking(socket, peer, undefined, undefined, this.options).begin();
      return;
    }
    const to = destination(socket);
    if (to === undefined) {
      this.refuse(socket, peer, undefined, "it was not redirected: nobody calls this port directly");
      return;
    }
    const how = passage(to);
    switch (how.kind) {
      case "refuse":
        this.refuse(socket, peer, to, how.why);
        return;
      case "mesh":
        this.options.counted("mesh", "unknown yet");
        this.options.mesh(socket, peer, undefined, to);
        return;
      case "call":
        this.options.counted("mesh", "unknown yet");
        this.options.call({ socket, peer, destination: to }, how.upstream);
        return;
      case "relay":
        this.relay(socket, peer, how.onward);
        return;
      case "look":
        new Looking(socket, peer, to, how.onward, this.options).begin();
    }
  }

  private relay(socket: Socket, peer: string, onward: Address): void {
    const { relays, counted, log } = this.options;
    socket.pause();
    const gone = (): void => void upstream.destroy();
    const upstream = relays.dial(
      onward,
      () => {
        socket.off("error", gone);
        counted("relayed", "unknown yet");
        relays.join(socket, upstream, peer, onward, undefined);
      },
      (error) => {
        counted("unreachable", "unknown yet");
        log.debug({ peer, to: formatAddress(onward), err: error }, "a captured connection could not be passed on");
        socket.resetAndDestroy();
      },
    );
    socket.on("error", gone);
  }

  private refuse(socket: Socket, peer: string, to: Address | undefined, why: string): void {
    const { counted, log, direction } = this.options;
    counted("refused", "unknown yet");
    log.info(
      { direction, peer, ...(to === undefined ? {} : { to: formatAddress(to) }), why },
      "a captured connection was refused",
    );
    socket.on("error", () => {});
    socket.resetAndDestroy();
  }
}

/**
 * A connection of which it is not known yet what it speaks.
 *
 *   looking -> dialing -> over
 *
 * looking: nobody has said enough. dialing: it will be passed on once its server is reached. over: it is somebody else's, or
 * gone. Until then its errors and its end are ours to notice.
 */
class Looking {
  private readonly socket: Socket;
  private readonly peer: string;
  private readonly to: Address | undefined;
  private readonly onward: Address | undefined;
  private readonly options: CapturedOptions;
  private state: "looking" | "dialing" | "over" = "looking";
  private seen: Buffer | undefined = undefined;
  private spoken: Spoken = "unknown yet";
  private upstream: Socket | undefined = undefined;
  private isConnected = false;
  private isUnreachable = false;
  /** Runs while a ClientHello is not complete, and while nothing is said that may not be passed on. */
  private patience: Timer | undefined = undefined;

  constructor(
    socket: Socket,
    peer: string,
    to: Address | undefined,
    onward: Address | undefined,
    options: CapturedOptions,
  ) {
    this.socket = socket;
    this.peer = peer;
    this.to = to;
    this.onward = onward;
    this.options = options;
  }

  begin(): void {
    const { socket, onward, options } = this;
    socket.on("error", this.gone);
    socket.on("close", this.gone);
    socket.on("end", this.ended);
    socket.on("readable", this.read);
    if (onward === undefined) {
      this.patience = options.clock.setTimer(LAST_WORD, () => this.state === "looking" && this.passOn());
      return;
    }
    this.upstream = options.relays.dial(
      onward,
      () => this.connected(),
      (error) => this.unreachable(error),
    );
    this.upstream.pause();
  }

  private readonly read = (): void => {
    const chunk: unknown = this.socket.read();
    if (this.state !== "looking" || !Buffer.isBuffer(chunk)) return;
    this.seen = this.seen === undefined ? chunk : Buffer.concat([this.seen, chunk]);
    this.spoken = spokenBy(this.seen);
    if (this.spoken === "http2") this.intoMesh();
    else if (this.spoken === "tls") this.byName(this.seen);
    else if (this.spoken !== "unknown yet" && !(this.spoken === "http1" && this.intoHttp1())) this.passOn();
  };

  private intoHttp1(): boolean {
    const { options } = this;
    if (!options.takesHttp1(this.to)) return false;
    options.counted("mesh", "http1");
    options.http1(this.handOver());
    return true;
  }

  /** TLS goes where the name leads that it asks for, else where it was going. */
  private byName(octets: Buffer): void {
    const { options } = this;
    const found = serverNameOf(octets);
    if (found.kind === "open") {
      // All of it comes at once, or in pieces right after each other.
      this.patience ??= options.clock.setTimer(LAST_WORD, () => this.state === "looking" && this.passOn());
      return;
    }
    const upstream = found.kind === "name" ? options.named(found.name) : undefined;
    const { direction, log } = options;
    const name = found.kind === "name" ? { server_name: found.name } : {};
    log.debug({ direction, peer: this.peer, ...name, upstream }, "a captured connection speaks TLS of its own");
    if (upstream === undefined) {
      this.passOn();
      return;
    }
    options.counted("mesh", "tls");
    options.call(this.handOver(), upstream);
  }

  /** Gives the connection to somebody else. */
  private handOver(): Arrival {
    const { socket, peer, to, seen } = this;
    this.leave();
    this.upstream?.destroy();
    return { socket, peer, arrived: seen, destination: to };
  }

  /** Nothing more comes of the client: what it has said is all that there is to go by. */
  private readonly ended = (): void => {
    if (this.state === "looking" && this.seen !== undefined) this.passOn();
  };

  private readonly gone = (): void => {
    if (this.state !== "over") this.upstream?.destroy();
    this.state = "over";
    this.patience?.cancel();
  };

  private connected(): void {
    this.isConnected = true;
    if (this.state === "dialing") this.join();
    // Its server may be the one that speaks first.
    else if (this.state === "looking") this.upstream?.once("readable", () => this.state === "looking" && this.join());
  }

  private intoMesh(): void {
    const { socket, peer, to, options } = this;
    this.leave();
    this.upstream?.destroy();
    options.counted("mesh", "http2");
    options.mesh(socket, peer, this.seen, to);
  }

  private passOn(): void {
    if (this.onward === undefined) this.refuse("refused");
    else if (this.isUnreachable) this.refuse("unreachable");
    else if (this.isConnected) this.join();
    else this.state = "dialing";
  }

  private join(): void {
    const { socket, upstream, peer, onward, seen, options } = this;
    if (upstream === undefined || onward === undefined) return;
    this.leave();
    options.counted("relayed", this.spoken);
    options.relays.join(socket, upstream, peer, onward, seen);
  }

  private unreachable(error: Error): void {
    const { log, clock } = this.options;
    this.isUnreachable = true;
    if (this.state === "over") return;
    const to = this.onward === undefined ? "" : formatAddress(this.onward);
    log.debug({ peer: this.peer, to, err: error }, "where a captured connection was going cannot be reached");
    if (this.state === "dialing") {
      this.refuse("unreachable");
      return;
    }
    // Its name may be one of the mesh, wherever its address leads: a client of HTTP/2 says so at once.
    clock.setTimer(LAST_WORD, () => {
      if (this.state === "looking") this.refuse("unreachable");
    });
  }

  private refuse(result: CaptureResult): void {
    const { socket, options } = this;
    options.counted(result, this.spoken);
    this.leave();
    socket.on("error", () => {});
    socket.resetAndDestroy();
  }

  /** From here on the socket is somebody else's. */
  private leave(): void {
    this.state = "over";
    this.patience?.cancel();
    this.socket.off("readable", this.read);
    this.socket.off("end", this.ended);
    this.socket.off("error", this.gone);
    this.socket.off("close", this.gone);
  }
}
