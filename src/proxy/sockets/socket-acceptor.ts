import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { Address } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Placed } from "../../core/roster.ts";
import type { Call, Failure } from "../../http/call.ts";
import type { Direction } from "../../http/reason.ts";
import type { ConnectionLife, ConnectionLives } from "../../net/connection-life.ts";
import type { Caller } from "../accepted-connection.ts";
import type { Forwarded } from "../forwarded.ts";
import type { ExchangeServices } from "../services.ts";
import type { Router, Unrouted } from "../target.ts";

/** What the connections of one side entrance share. */
export interface SocketAcceptorOptions {
  readonly direction: Direction;
  readonly services: ExchangeServices;
  readonly unrouted: Unrouted;
  readonly clock: Clock;
  readonly lives: ConnectionLives;
  readonly log: Logger;
  /** What the application is told of its callers; undefined: nothing, for the caller is the application. */
  readonly forwarded?: Forwarded | undefined;
}

/** A connection that comes in, and what is known of it. */
export interface Arrival {
  /** Not read by anybody; a half of it may end before the other. */
  readonly socket: Socket;
  readonly peer: string;
  /** Who is there, as TLS has verified it. */
  readonly caller?: Caller | undefined;
  /** The caller is a sidecar, which is told what becomes of a connection of TCP before anything else. */
  readonly told?: boolean | undefined;
  /** What has been read of it already. */
  readonly arrived?: Buffer | undefined;
  /** Where it was going before it was redirected to us. */
  readonly destination?: Address | undefined;
}

/** A caller's connection that is not HTTP/2, as people see it. */
export interface AcceptedSocket extends Placed {
  readonly socket: Socket;
  readonly peer: string;
  readonly caller: Caller | undefined;
  /** Wall-clock milliseconds. */
  readonly since: number;
  /** Calls under way. */
  readonly active: number;
  readonly life: ConnectionLife;
}

/** What takes the connections of one protocol, as the listeners and the drain see it. */
export interface SocketAcceptor {
  accept(arrival: Arrival, router: Router): void;
  readonly connections: Iterable<AcceptedSocket>;
  readonly connectionCount: number;
  /** Calls under way. */
  readonly activeCalls: number;
  /** Asks every caller to go, as far as its protocol has words for that. */
  shutdown(): void;
  /** Ends what is left; returns how many calls were cut. */
  closeAll(reason: string): number;
  /** Ends the calls under way of which `verdictOn` says why they must not go on; returns how many. */
  reconsider(verdictOn: (call: Call) => Failure | undefined): number;
}
