import type { Server, Socket } from "node:net";
import { type Address, formatAddress } from "../core/address.ts";
import { type Placed, Roster } from "../core/roster.ts";
import { sourceOf } from "../core/source-address.ts";
import { explainBind } from "./bind-error.ts";
import { type ConnectionBudget, ENDING } from "./connection-budget.ts";
import { makeServer, startListening, tryToListen } from "./server.ts";
import { clearStaleSocket } from "./stale-socket.ts";

/** How many connections may be open at once. Looked at for each, so that they may change. */
export interface ListenerLimits {
  /** One more is closed at once, unless the handler makes room for it. */
  readonly maxConnections: number;
  /** Of one source (see `sourceOf`); one more is closed at once. */
  readonly maxPerSource?: number | undefined;
}

/** How connections are accepted. */
export interface ListenerOptions {
  /** Absent: the default ones. */
  readonly limits?: ListenerLimits;
  /** What other listeners have a part in as well. */
  readonly budget?: ConnectionBudget;
  /** Others of this process bind the same address, and the system gives each a part of the connections. */
  readonly shared?: boolean;
  /**
   * Sockets that listen on it, where the system can have several; absent: one. Of each libuv (since 1.45) takes one connection in a turn of
   * the event loop, so that one alone has newcomers wait where turns are long.
   */
  readonly doors?: number;
  /** A client may end its half of a connection and go on reading. */
  readonly allowHalfOpen?: boolean;
}

/** Which limit a connection was over: one of its listener, the budget of all, which is of open files, or what the sidecar can bear. */
export type ConnectionLimit = "maxConnections" | "maxPerSource" | "openFiles" | "overload";

/** Who takes the connections of a listener. */
export interface ListenerHandler {
  /** A connection. The handler listens to its events, "error" included, before it returns. `peer` is for logs. */
  onConnection(socket: Socket, peer: string): void;
  /** As many connections are open as may be, and there is one more: whether another one has been closed for it. */
  makeRoom?(): boolean;
  /** A connection was closed at once because `most` are open. */
  onRefused(limit: ConnectionLimit, most: number): void;
  /** A connection could not be taken. Where there is no open file left libuv closes it, and nobody is told. */
  onError(error: Error): void;
}

/** Memory of a connection at rest is some 20 KiB, so that this many stay within 200 MiB; what a sidecar sees is far less. */
export const defaultListenerLimits = { maxConnections: 10_000 } as const;
/** Whether several sockets can listen on one address, and the system gives each a part of the connections. */
const CAN_SHARE = process.platform === "linux";

interface OpenSocket extends Placed {
  readonly socket: Socket;
  /** Where it comes from, as `sourceOf` has it. */
  readonly source: string;
}

/** A bound address that takes connections. */
export class Listener {
  /** The address that was bound; of port 0 the one that the system chose. */
  readonly address: Address;
  readonly limits: ListenerLimits;
  private readonly servers: Server[] = [];
  private readonly handler: ListenerHandler;
  private readonly budget: ConnectionBudget | undefined;
  private readonly sockets = new Roster<OpenSocket>();
  /** Connections that are open, by their source. */
  private readonly bySource = new Map<string, number>();
  private readonly ended: Promise<unknown>[] = [];
  accepted = 0;
  refused = 0;

  /** Binds an address. Rejects with a BindError. */
  static async bind(address: Address, options: ListenerOptions, handler: ListenerHandler): Promise<Listener> {
    const { shared = false, doors = 1, allowHalfOpen } = options;
    const hasMore = doors > 1 && address.kind === "tcp" && CAN_SHARE;
    try {
      if (address.kind === "unix") await clearStaleSocket(address);
      if (hasMore && !shared) await tryToListen(address);
      const server = makeServer(address, allowHalfOpen);
      const bound = await startListening(server, address, shared || hasMore);
      const listener = new Listener(server, bound, options, handler);
      if (hasMore) await listener.addDoors(doors - 1, allowHalfOpen);
      return listener;
    } catch (error) {
      throw await explainBind(address, error);
    }
  }

  private constructor(server: Server, address: Address, options: ListenerOptions, handler: ListenerHandler) {
    this.address = address;
    this.handler = handler;
    this.budget = options.budget;
    this.limits = options.limits ?? defaultListenerLimits;
    this.add(server);
  }

  private add(server: Server): void {
    this.servers.push(server);
    this.ended.push(new Promise((resolve) => server.once("close", resolve)));
    server.on("connection", (socket) => this.take(socket));
    server.on("error", (error) => this.handler.onError(error));
  }

  private async addDoors(count: number, allowHalfOpen?: boolean): Promise<void> {
    try {
      for (let door = 0; door < count; door++) {
        const server = makeServer(this.address, allowHalfOpen);
        server.once("listening", () => this.add(server));
        await startListening(server, this.address, true);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Connections that are open. */
  get connections(): number {
    return this.sockets.size;
  }

  /** Takes no more connections; those that are open stay. The address is free at once. Idempotent. */
  stopAccepting(): void {
    for (const server of this.servers) if (server.listening) server.close();
  }

  /** Stops accepting and destroys every connection that is left; resolves when all are gone. */
  async close(): Promise<void> {
    this.stopAccepting();
    for (const { socket } of this.sockets.values()) socket.destroy();
    await Promise.all(this.ended);
  }

  private take(socket: Socket): void {
    // The peer may be gone before it is asked for.
    const address = this.address.kind === "unix" ? "unix" : (socket.remoteAddress ?? "unknown");
    const source = sourceOf(address);
    const limit = this.reached(source);
    if (limit !== undefined && !this.makeRoom(limit)) {
      socket.destroy();
      this.refuse(limit);
      return;
    }
    this.accepted++;
    const open: OpenSocket = { socket, source, place: -1 };
    this.sockets.add(open);
    this.bySource.set(source, (this.bySource.get(source) ?? 0) + 1);
    if (this.budget !== undefined) this.budget.open++;
    socket.once("close", () => this.forget(open));
    this.handler.onConnection(socket, peerOf(address, socket.remotePort));
  }

  private forget(open: OpenSocket): void {
    this.sockets.delete(open);
    if (this.budget !== undefined) this.budget.open--;
    const left = (this.bySource.get(open.source) ?? 1) - 1;
    if (left === 0) this.bySource.delete(open.source);
    else this.bySource.set(open.source, left);
  }

  /** The limit that one more connection is over. */
  private reached(source: string): ConnectionLimit | undefined {
    const { maxConnections, maxPerSource } = this.limits;
    // First, so that nobody makes room for whoever has its part.
    if (maxPerSource !== undefined && (this.bySource.get(source) ?? 0) >= maxPerSource) return "maxPerSource";
    if (this.budget?.isFull === true) return this.budget.shut ? "overload" : "openFiles";
    return this.sockets.size >= maxConnections ? "maxConnections" : undefined;
  }

  /** Whether another connection has been closed for one more. Those that are ending may be a tenth of all. */
  private makeRoom(limit: ConnectionLimit): boolean {
    const ending = Math.ceil(this.limits.maxConnections * (1 + ENDING));
    if (limit === "maxPerSource" || this.budget?.isOver === true || this.sockets.size >= ending) return false;
    return this.handler.makeRoom?.() === true;
  }

  private refuse(limit: ConnectionLimit): void {
    this.refused++;
    const { maxConnections, maxPerSource } = this.limits;
    const most = { maxConnections, maxPerSource, openFiles: this.budget?.most, overload: 0 };
    this.handler.onRefused(limit, most[limit] ?? 0);
  }
}

/** Who is at the other end, in the form in which people write addresses. */
function peerOf(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
  const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
  return formatAddress({ kind: "tcp", host: plain, port });
}
