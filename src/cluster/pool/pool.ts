import type { Connection } from "../../http2/connection.ts";
import type { ConnectionStats } from "./connection-pool.ts";
import type { Waiter } from "./waiting-line.ts";

/** The connections of an endpoint, whatever is spoken over them. */
export interface Pool {
  /** Connections that stand or are in the making. */
  readonly size: number;
  /** Whether a connection is in the making. */
  readonly connecting: boolean;
  /** A connection stands, or is made for each call. */
  readonly standing: boolean;
  /** Calls that wait for a connection. */
  readonly waiting: number;
  /** A connection of HTTP/2 with room for a stream, valid until control is given back. */
  ready(): Connection | undefined;
  /** Has `waiter` told once there is one, or none is to be had. Returns what gives it up; idempotent. */
  wait(waiter: Waiter): () => void;
  /** Connects unless a connection stands or is in the making. */
  probe(): void;
  /** Calls that wait for a connection are told that there is none yet: they go on to another endpoint. */
  giveUp(message: string): void;
  /** Has connections by TLS make room for others over `spread` milliseconds, without losing a call. */
  renew(reason: string, spread: number): void;
  /** Takes no more calls; connections end with their last one. */
  drain(reason: string): void;
  /** Drains, and ends every connection now. */
  close(reason: string): void;
  connections(): ConnectionStats[];
}
