import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Address } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type ConnectFailure, connectFailure, connectTimeout } from "./connect-failure.ts";
import { octetsRead, readBuffer } from "./read-into.ts";

/** What became of a dial. */
export type DialResult = { readonly kind: "connected"; readonly socket: Socket } | ConnectFailure;

/** Who dialled. `done` is called once, never before `dial` has returned, and not after a cancel. */
export interface DialHandler {
  done(result: DialResult): void;
  /**
   * Octets that came in, after `done` said connected; valid during the call only. Where it is left out, the socket is its
   * new owner's to read, and a half of it may end before the other.
   */
  receive?(chunk: Buffer): void;
}

/** How a connection is made. */
export interface DialOptions {
  readonly clock: Clock;
  /** Milliseconds until a connection has to stand, name lookup included; 5 s by default. */
  readonly timeout?: number;
  /** Speaks TLS; without it plaintext. */
  readonly secure?: SecureDial;
}

/** How TLS is spoken to one address. */
export interface SecureDial {
  readonly options: ConnectionOptions;
  /** The handshake is over: undefined where the peer is the one that was meant. */
  verify(socket: TLSSocket): ConnectFailure | undefined;
  /** What an error after the transport stood means; undefined: there was none, only no end within so many milliseconds. */
  explain(error: Error | undefined, milliseconds: number): ConnectFailure;
  /** A session that may be resumed next time. */
  session(session: Buffer): void;
}

/** Long enough for a SYN that was lost twice (1 s, 3 s), short enough for a caller to try another endpoint. */
const DEFAULT_TIMEOUT = 5000;

/** A peer whose machine is gone is noticed by the kernel, in the absence of traffic, after this and its nine probes. */
export const KEEPALIVE_DELAY = 30_000;

/** Connects to an address; returns what gives it up. Errors after the connection stands are the socket's own events. */
export function dial(address: Address, options: DialOptions, handler: DialHandler): () => void {
  const milliseconds = options.timeout ?? DEFAULT_TIMEOUT;
  const { secure } = options;
  const socket = secure === undefined ? connect(transport(address, handler)) : open(address, secure, handler);
  // Whether the peer is reached: what fails after that is a matter of TLS.
  let reached = false;

  const settle = (): void => {
    timer.cancel();
    socket.off("connect", connected);
    socket.off("secureConnect", secured);
    socket.off("error", failed);
  };
  const giveUp = (): void => {
    settle();
    // An error may still come, of an address that was being tried.
    socket.on("error", () => {});
    socket.destroy();
  };
  const fail = (failure: ConnectFailure): void => {
    giveUp();
    handler.done(failure);
  };
  const connected = (): void => {
    reached = true;
    if (secure !== undefined) return;
    settle();
    handler.done({ kind: "connected", socket });
  };
  const secured = (): void => {
    const failure = secure?.verify(socket as TLSSocket);
    if (failure !== undefined) {
      fail(failure);
      return;
    }
    settle();
    handler.done({ kind: "connected", socket });
  };
  const failed = (error: Error): void =>
    fail(
      reached && secure !== undefined
        ? secure.explain(error, milliseconds)
        : connectFailure(address, error, milliseconds),
    );
  const timer = options.clock.setTimer(milliseconds, () =>
    fail(
      reached && secure !== undefined ? secure.explain(undefined, milliseconds) : connectTimeout(address, milliseconds),
    ),
  );
  socket.once("connect", connected);
  socket.once("secureConnect", secured);
  socket.once("error", failed);
  return giveUp;
}

function open(address: Address, secure: SecureDial, handler: DialHandler): TLSSocket {
  // Loaded when needed: it takes 4 MB, and most sidecars of a laptop do without.
  const tls = process.getBuiltinModule("node:tls");
  const lower = transport(address, handler);
  // Of a transport of its own a TLS socket has its end told apart from a reset: see `reset.ts`.
  const over = handler.receive === undefined ? { socket: connect(lower) } : lower;
  const socket = tls.connect({ ...over, ...secure.options });
  socket.on("session", (session) => secure.session(session));
  return socket;
}

/** The socket reads into the shared buffer, under TLS as well. */
function transport(address: Address, handler: DialHandler): NetConnectOpts {
  return {
    ...(address.kind === "unix" ? { path: address.path } : { host: address.host || "localhost", port: address.port }),
    noDelay: true,
    keepAlive: address.kind === "tcp",
    keepAliveInitialDelay: KEEPALIVE_DELAY,
    ...(handler.receive === undefined
      ? { allowHalfOpen: true }
      : {
          onread: {
            buffer: readBuffer,
            callback: (length, buffer) => {
              handler.receive?.(octetsRead(buffer, length));
              return true;
            },
          },
        }),
  };
}
