import type { Connection } from "../../http2/connection.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import type { Meta } from "./connect.ts";
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

/** Who is told how connecting goes: the endpoint. */
export interface PoolWatcher {
  /** What discovery says of it now. */
  readonly meta: Meta;
  /** A connection can be handed out; called for every one that opens. */
  onReachable(): void;
  /** Connecting failed and no connection is left. Those who wait are told after this. */
  onUnreachable(failure: ConnectFailure): void;
  /** After `drain`: the last connection is gone. Called once. */
  onDrained(): void;
}

/** One connection, as people see it. */
export interface ConnectionStats {
  readonly state: "dialling" | "new" | "open" | "draining";
  /** The SPIFFE id of the peer; undefined in plaintext. */
  readonly identity: string | undefined;
  readonly streams: number;
  /** The most that the peer allows at once. */
  readonly maxStreams: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Milliseconds since the dial began. */
  readonly age: number;
  /** Milliseconds until it is too old; undefined where it does not grow too old, or is leaving. */
  readonly left: number | undefined;
}
