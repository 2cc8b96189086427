import { connect, type Socket } from "node:net";
import type { Address } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type ConnectFailure, connectFailure, connectTimeout } from "./connect-failure.ts";
import { octetsRead, readBuffer } from "./read-into.ts";

/** What became of a dial. */
export type DialResult = { readonly kind: "connected"; readonly socket: Socket } | ConnectFailure;

/** Who dialled. `done` is called once, never before `dial` has returned, and not after a cancel. */
export interface DialHandler {
  done(result: DialResult): void;
  /** Octets that came in, after `done` said connected; valid during the call only. */
  receive(chunk: Buffer): void;
}

export interface DialOptions {
  readonly clock: Clock;
  /** Milliseconds until a connection has to stand, name lookup included; 5 s by default. */
  readonly timeout?: number;
}

/** Long enough for a SYN that was lost twice (1 s, 3 s), short enough for a caller to try another endpoint. */
const DEFAULT_TIMEOUT = 5000;

/** A peer whose machine is gone is noticed by the kernel, in the absence of traffic, after this and its nine probes. */
const KEEPALIVE_DELAY = 30_000;

/** Connects to an address; returns what gives it up. Errors after the connection stands are the socket's own events. */
export function dial(address: Address, options: DialOptions, handler: DialHandler): () => void {
  const milliseconds = options.timeout ?? DEFAULT_TIMEOUT;
  const socket = connect({
    ...(address.kind === "unix" ? { path: address.path } : { host: address.host || "localhost", port: address.port }),
    noDelay: true,
    keepAlive: address.kind === "tcp",
    keepAliveInitialDelay: KEEPALIVE_DELAY,
    onread: {
      buffer: readBuffer,
      callback: (length, buffer) => {
        handler.receive(octetsRead(buffer, length));
        return true;
      },
    },
  });

  const settle = (): void => {
    timer.cancel();
    socket.off("connect", connected);
    socket.off("error", failed);
  };
  const giveUp = (): void => {
    settle();
    // An error may still come, of an address that was being tried.
    socket.on("error", () => {});
    socket.destroy();
  };
  const connected = (): void => {
    settle();
    handler.done({ kind: "connected", socket });
  };
  const failed = (error: Error): void => {
    giveUp();
    handler.done(connectFailure(address, error, milliseconds));
  };
  const timer = options.clock.setTimer(milliseconds, () => {
    giveUp();
    handler.done(connectTimeout(address, milliseconds));
  });
  socket.once("connect", connected);
  socket.once("error", failed);
  return giveUp;
}
