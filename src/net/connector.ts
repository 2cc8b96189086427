import { connect, type Socket } from "node:net";
import { type Address, formatAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";

/** Why there is no connection. `message` names the address and the likely cause, for logs and for people. */
export interface ConnectFailure {
  readonly kind: "failed";
  readonly reason: "CONNECT_REFUSED" | "CONNECT_TIMEOUT" | "CONNECT_FAILED";
  readonly message: string;
}

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

/**
 * What the sockets of this thread read into. One is enough: the loop reads a socket and hands the octets over before it
 * reads another, and they are the reader's during the call only.
 */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

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
        handler.receive(Buffer.from(buffer.buffer, buffer.byteOffset, length));
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
    handler.done(explain(address, error, milliseconds));
  };
  const timer = options.clock.setTimer(milliseconds, () => {
    giveUp();
    handler.done(timedOut(address, milliseconds));
  });
  socket.once("connect", connected);
  socket.once("error", failed);
  return giveUp;
}

function timedOut(address: Address, milliseconds: number): ConnectFailure {
  const cause =
    address.kind === "unix"
      ? "maybe its process is stopped"
      : "maybe the machine is gone or a firewall or network policy drops the packets";
  return {
    kind: "failed",
    reason: "CONNECT_TIMEOUT",
    message: `no connection to ${formatAddress(address)} within ${milliseconds} ms: ${cause}`,
  };
}

function explain(address: Address, error: Error, milliseconds: number): ConnectFailure {
  const code = codeOf(error);
  if (code === "ETIMEDOUT") return timedOut(address, milliseconds);
  const refused = code === "ECONNREFUSED" || (code === "ENOENT" && address.kind === "unix");
  const cause = likelyCause(address, code) ?? error.message;
  return {
    kind: "failed",
    reason: refused ? "CONNECT_REFUSED" : "CONNECT_FAILED",
    message: `cannot connect to ${formatAddress(address)}: ${cause}`,
  };
}

/** The code of a system error. A name with several addresses fails with one error for each: the last one speaks for all. */
function codeOf(error: Error): string {
  const one: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  return one instanceof Error && "code" in one && typeof one.code === "string" ? one.code : "";
}

function likelyCause(address: Address, code: string): string | undefined {
  switch (code) {
    case "ECONNREFUSED":
      return address.kind === "unix"
        ? "nobody listens on the socket any more"
        : "connection refused, nothing listens there";
    case "ENOENT":
      return "there is no such socket, maybe its process has not started";
    case "EACCES":
    case "EPERM":
      return address.kind === "unix" ? "this user may not write to the socket" : "a local firewall rule forbids it";
    case "ENOTFOUND":
      return "the name does not resolve to an address";
    case "EAI_AGAIN":
      return "the name could not be resolved, maybe the DNS server is away";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no route to it, maybe its network is down or another one";
    case "ECONNRESET":
      return "the connection was reset while it was made";
    case "EADDRNOTAVAIL":
      return "no local port is free for it, or the machine has no address of its family";
    case "EMFILE":
    case "ENFILE":
      return "too many open files: raise the limit (ulimit -n)";
    case "EAGAIN":
      return "the socket's queue of connections is full";
    default:
      return undefined;
  }
}
