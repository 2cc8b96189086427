import type { ConnectionLives } from "../../net/connection-life.ts";
import type { OpenSocket } from "./open-socket.ts";

/** Bounds of the connections to one endpoint. */
export interface PoolOptions {
  /**
   * Whether calls go out on a new connection at once, or only once its peer's SETTINGS came. The latter costs a new connection
   * a round trip at most (measured on loopback: 0.02 ms), and gains that a peer that takes connections and ends them, as many
   * a proxy with nothing behind it does, is a failure to connect, which is safe to retry, and not a lost call.
   */
  readonly firstStream: "atOnce" | "afterSettings";
  /** Calls that may wait for a connection; one more is refused with QUEUE_FULL. */
  readonly maxWaiting: number;
  /** Connections at once; may change. A peer that allows one stream a connection needs one for each call in flight. */
  readonly maxConnections: number;
  /** Milliseconds after which a connection beyond the first that nobody needed is closed. */
  readonly surplusIdle: number;
  /** For how long connections are used. Absent: for as long as they last. */
  readonly lives?: ConnectionLives;
}

/** What holds where `limits` says nothing. */
export const defaultPoolOptions: PoolOptions = {
  firstStream: "afterSettings",
  maxWaiting: 12_000,
  maxConnections: 1024,
  surplusIdle: 30_000,
};

/** How connections that carry one call at a time are made. */
export interface SocketsOptions {
  readonly open: OpenSocket;
  /** What the endpoints speak. */
  readonly protocol: "http1" | "tcp";
}
