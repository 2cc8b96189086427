import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Address, formatAddress } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { later } from "../../core/later.ts";
import { ourselves } from "../../http/callers.ts";
import type { Connection } from "../../http2/connection.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import type { ConnectionLife } from "../../net/connection-life.ts";
import type { SecurePeer } from "./connect.ts";
import { Http1Agent } from "./http1-agent.ts";
import type { ConnectionStats, Pool, PoolWatcher } from "./pool.ts";
import type { PoolOptions, SocketsOptions } from "./pool-options.ts";
import { type Waiter, WaitingLine } from "./waiting-line.ts";

/** What a pool of sockets needs. */
export interface SocketPoolServices {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Milliseconds for which a probe that found somebody is enough. */
const KNOWN = 1000;

/** A connection for one call. */
export type SocketLease =
  /** Made for it. `peer`: who is there, undefined in plaintext. */
  | { readonly kind: "fresh"; readonly socket: Socket; readonly peer: SecurePeer | undefined }
  /** One of those that the agent keeps. */
  | { readonly kind: "idle" };

/** A connection, from the dial to its end. */
interface Member {
  readonly since: number;
  readonly cancel: () => void;
  socket: Socket | undefined;
  peer: SecurePeer | undefined;
  /** There is none of HTTP/2. */
  readonly connection: undefined;
}

/**
 * The connections of an endpoint that carry one call at a time: HTTP/1.1, which keeps them between two requests, and TCP.
 *
 * Invariants: at most `maxConnections` stand or are in the making; while a call waits there are as many; after `drain` nothing is
 * dialled.
 */
export class SocketPool implements Pool {
  /** Makes the requests of HTTP/1.1. */
  readonly agent = new Http1Agent((socket) => this.lives.get(socket)?.count());
  private readonly address: Address;
  private readonly label: string;
  private readonly services: SocketPoolServices;
  private readonly how: SocketsOptions;
  private readonly options: PoolOptions;
  private readonly watcher: PoolWatcher;
  private readonly members = new Set<Member>();
  private readonly peers = new WeakMap<Socket, SecurePeer>();
  private readonly lives = new WeakMap<Duplex, ConnectionLife>();
  private readonly line = new WaitingLine<SocketLease>();
  /** Milliseconds of the clock when a probe last found somebody. */
  private stoodAt = Number.NEGATIVE_INFINITY;
  private phase: "serving" | "draining" | "drained" = "serving";

  constructor(
    address: Address,
    services: SocketPoolServices,
    how: SocketsOptions,
    options: PoolOptions,
    watcher: PoolWatcher,
  ) {
    this.address = address;
    this.label = formatAddress(address);
    this.services = services;
    this.how = how;
    this.options = options;
    this.watcher = watcher;
  }

  get size(): number {
    return this.members.size;
  }

  get connecting(): boolean {
    for (const { socket } of this.members) if (socket === undefined) return true;
    return false;
  }

  /** Each call has a connection made for it. */
  get standing(): boolean {
    return true;
  }

  get waiting(): number {
    return this.line.length;
  }

  /** Has `waiter` told once there is a connection for it alone, or none is to be had. Returns what gives it up; idempotent. */
  take(waiter: Waiter<SocketLease>): () => void {
    if (this.phase !== "serving") return later(() => waiter.onFailed("NO_ENDPOINTS", this.gone()));
    if (this.agent.hasIdle) return later(() => waiter.onConnection({ kind: "idle" }));
    if (this.members.size < this.options.maxConnections) return this.open(waiter);
    if (this.line.length >= this.options.maxWaiting) {
      const message = `${this.line.length} calls wait for a connection to ${this.label} already`;
      return later(() => waiter.onFailed("QUEUE_FULL", message));
    }
    let isOver = false;
    const leave = this.line.join({
      caller: waiter.caller ?? ourselves,
      onConnection: (lease) => {
        if (!isOver) waiter.onConnection(lease);
        else if (lease.kind === "fresh") lease.socket.destroy();
      },
      onFailed: (reason, message) => void (isOver || waiter.onFailed(reason, message)),
    });
    return () => {
      isOver = true;
      leave();
    };
  }

  /** Nothing of HTTP/2 is spoken there. */
  ready(): Connection | undefined {
    return undefined;
  }

  wait(waiter: Waiter): () => void {
    return later(() => waiter.onFailed("PROTOCOL", `${this.label} speaks ${this.how.protocol}`));
  }

  /** Whoever looks again and again must not make a connection each time: none stays of it. */
  probe(): void {
    const { clock } = this.services;
    if (this.phase !== "serving" || this.members.size > 0 || clock.now() - this.stoodAt < KNOWN) return;
    this.open({
      onConnection: (lease) => {
        this.stoodAt = clock.now();
        if (lease.kind === "fresh") lease.socket.destroy();
      },
      onFailed: () => {},
    });
  }

  giveUp(): void {}

  /** A connection of TCP is whole or nothing: it goes on. */
  renew(_reason: string, spread: number): void {
    const { clock, random } = this.services;
    for (const { socket, peer } of this.members)
      if (socket !== undefined && peer !== undefined) clock.setTimer(random() * spread, () => this.agent.letGo(socket));
  }

  drain(_reason: string): void {
    if (this.phase !== "serving") return;
    this.phase = "draining";
    this.agent.destroyIdle();
    for (const { socket, cancel } of this.members) if (socket === undefined) cancel();
    this.line.fail("NO_ENDPOINTS", this.gone());
    this.settleDrain();
  }

  close(reason: string): void {
    this.drain(reason);
    for (const { socket } of this.members) socket?.destroy();
  }

  /** Who is at the other end of a connection that was leased, or is about to be used. */
  peerBehind(lease: SocketLease): SecurePeer | undefined {
    if (lease.kind === "fresh") return lease.peer;
    return this.agent.idle === undefined ? undefined : this.peerOf(this.agent.idle);
  }

  /** Who is at the other end of one of its connections, as TLS has verified it. */
  peerOf(socket: Socket): SecurePeer | undefined {
    return this.peers.get(socket);
  }

  connections(): ConnectionStats[] {
    const now = this.services.clock.now();
    return [...this.members].map(({ socket, peer, since }) => ({
      state: socket === undefined ? "dialling" : "open",
      identity: peer?.identity,
      streams: socket === undefined || this.agent.isIdle(socket) ? 0 : 1,
      maxStreams: 1,
      bytesSent: socket?.bytesWritten ?? 0,
      bytesReceived: socket?.bytesRead ?? 0,
      age: now - since,
      left: socket && this.lives.get(socket)?.left,
    }));
  }

  private open(waiter: Waiter<SocketLease>): () => void {
    const opening = {
      onOpened: (socket: Socket, peer?: SecurePeer): void => {
        member.socket = socket;
        member.peer = peer;
        if (peer !== undefined) this.peers.set(socket, peer);
        // What an idle connection has to say is that it ends, which "close" tells.
        socket.on("error", () => {});
        socket.once("close", () => this.leave(member));
        if (this.how.protocol === "http1") {
          socket.on("free", () => this.freed());
          this.limitLife(socket);
        }
        this.watcher.onReachable();
        waiter.onConnection({ kind: "fresh", socket, peer });
      },
      onFailed: (failure: ConnectFailure): void => {
        this.members.delete(member);
        const stands = [...this.members].some(({ socket }) => socket !== undefined);
        if (this.phase === "serving" && !stands) this.watcher.onUnreachable(failure);
        this.settleDrain();
        waiter.onFailed(failure.reason, failure.message);
        this.serve();
      },
    };
    const give = this.how.open(this.address, opening, this.watcher.meta);
    const cancel = (): void => {
      if (member.socket !== undefined) return;
      give();
      this.leave(member);
    };
    const member: Member = {
      since: this.services.clock.now(),
      cancel,
      socket: undefined,
      peer: undefined,
      connection: undefined,
    };
    this.members.add(member);
    return cancel;
  }

  /** A connection that has been used for as long as it may ends with its request. */
  private limitLife(socket: Socket): void {
    const leave = (): void => this.agent.letGo(socket);
    const life = this.options.lives?.begin({ active: undefined, leave, end: () => {} });
    if (life === undefined) return;
    this.lives.set(socket, life);
    socket.once("close", () => life.stop());
  }

  /** A connection has been given back to the agent, or is about to be. */
  private freed(): void {
    if (this.line.length > 0) queueMicrotask(() => this.serve());
  }

  private leave(member: Member): void {
    if (!this.members.delete(member)) return;
    this.serve();
    this.settleDrain();
  }

  private serve(): void {
    while (this.phase === "serving" && this.line.length > 0) {
      const isIdle = this.agent.hasIdle;
      if (!isIdle && this.members.size >= this.options.maxConnections) return;
      const waiter = this.line.shift();
      if (waiter === undefined) return;
      if (isIdle) waiter.onConnection({ kind: "idle" });
      else this.open(waiter);
    }
  }

  private settleDrain(): void {
    if (this.phase !== "draining" || this.members.size > 0) return;
    this.phase = "drained";
    this.watcher.onDrained();
  }

  private gone(): string {
    return `${this.label} is no instance of the service any more`;
  }
}
