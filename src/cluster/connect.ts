import type { Address } from "../core/address.ts";
import { Connection, type ConnectionHandler, type Http2Services } from "../http2/connection.ts";
import type { Http2Limits } from "../http2/limits.ts";
import type { ConnectFailure } from "../net/connect-failure.ts";
import { dial } from "../net/connector.ts";

/** Who wants a connection. Told once, not before `Connect` has returned, unless it was cancelled. */
export interface Connecting {
  onConnected(connection: Connection): void;
  onFailed(failure: ConnectFailure): void;
}

/** Makes an HTTP/2 connection as a client; `handler` is the connection's own. Returns what gives it up. */
export type Connect = (address: Address, handler: ConnectionHandler, connecting: Connecting) => () => void;

export interface ConnectOptions {
  readonly limits: Http2Limits;
  /** Tell the peer that we are a sidecar. */
  readonly announce: boolean;
  /** Milliseconds for the transport. */
  readonly timeout?: number;
}

/** Connects in plain text: over TCP or a unix socket, with prior knowledge of HTTP/2 (RFC 9113 §3.3). */
export function plainConnect(services: Http2Services, options: ConnectOptions): Connect {
  const { limits, announce, timeout } = options;
  const dialOptions = { clock: services.clock, ...(timeout === undefined ? {} : { timeout }) };
  return (address, handler, connecting) => {
    let connection: Connection | undefined;
    return dial(address, dialOptions, {
      receive: (chunk) => connection?.receive(chunk),
      done: (result) => {
        if (result.kind === "failed") {
          connecting.onFailed(result);
          return;
        }
        const how = { role: "client", limits, reuse: "atOnce", announce, fedByOwner: true } as const;
        connection = new Connection(result.socket, services, how, handler);
        connecting.onConnected(connection);
      },
    });
  };
}
