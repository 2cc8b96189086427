import type { Address } from "../../core/address.ts";
import { Connection, type Http2Services } from "../../http2/connection.ts";
import type { ConnectionHandler } from "../../http2/connection-handler.ts";
import type { Http2Limits } from "../../http2/limits.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import { dial, type SecureDial } from "../../net/connector.ts";

/** What TLS has found out of the peer of a connection. */
export interface SecurePeer {
  /** Its SPIFFE id. */
  readonly identity: string;
  /** It has said so by ALPN. Of connections of HTTP/2 their SETTINGS say it instead. */
  readonly isSidecar: boolean;
  /** What it means that the connection ended before anything was said on it. */
  explain(why: string): ConnectFailure;
}

/** Who wants a connection. Told once, not before `Connect` has returned, unless it was cancelled. */
export interface Connecting {
  /** `peer`: undefined in plaintext. */
  onConnected(connection: Connection, peer?: SecurePeer): void;
  onFailed(failure: ConnectFailure): void;
}

/** What discovery says of an endpoint, of its own accord. */
export type Meta = Readonly<Record<string, string>>;

/**
 * Makes an HTTP/2 connection as a client; `handler` is the connection's own, `meta` what is known of the endpoint now. Returns
 * what gives it up.
 */
export type Connect = (address: Address, handler: ConnectionHandler, connecting: Connecting, meta: Meta) => () => void;

/** How connections of HTTP/2 are made. */
export interface ConnectOptions {
  readonly limits: Http2Limits;
  /** Tell the peer that we are a sidecar. */
  readonly announce: boolean;
  /** Milliseconds for the transport. */
  readonly timeout?: number;
}

/** Connects in plain text: over TCP or a unix socket, with prior knowledge of HTTP/2 (RFC 9113 §3.3). */
export function plainConnect(services: Http2Services, how: () => ConnectOptions): Connect {
  return (address, handler, connecting) => connectOver(services, how(), undefined, address, handler, connecting);
}

/** TLS of one dial: how it is spoken, and what it has found out once it stands. */
export interface SecureAttempt extends SecureDial {
  readonly peer: SecurePeer | undefined;
}

/** Connects in plaintext or, with `secure`, over TLS. */
export function connectOver(
  services: Http2Services,
  { limits, announce, timeout }: ConnectOptions,
  secure: SecureAttempt | undefined,
  address: Address,
  handler: ConnectionHandler,
  connecting: Connecting,
): () => void {
  let connection: Connection | undefined;
  const options = {
    clock: services.clock,
    ...(timeout === undefined ? {} : { timeout }),
    ...(secure === undefined ? {} : { secure }),
  };
  return dial(address, options, {
    receive: (chunk) => connection?.receive(chunk),
    done: (result) => {
      if (result.kind === "failed") {
        connecting.onFailed(result);
        return;
      }
      // A TLS socket has a buffer until it says that it is written.
      const reuse = secure === undefined ? "atOnce" : "callback";
      const how = { role: "client", limits, reuse, announce, fedByOwner: true } as const;
      connection = new Connection(result.socket, services, how, handler);
      connecting.onConnected(connection, secure?.peer);
    },
  });
}
