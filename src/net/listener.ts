import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type Address, formatAddress } from "../core/address.ts";
import { type Placed, Roster } from "../core/roster.ts";
import { sourceOf } from "../core/source-address.ts";
import { explainBind } from "./bind-error.ts";
import { type ConnectionBudget, ENDING } from "./connection-budget.ts";
import { KEEPALIVE_DELAY } from "./connector.ts";
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
/** Connections that the kernel may hold for us; it takes the smaller of this and net.core.somaxconn. */
const BACKLOG = 4096;

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
  private readonly server: Server;
  private readonly handler: ListenerHandler;
  private readonly budget: ConnectionBudget | undefined;
  private readonly sockets = new Roster<OpenSocket>();
  /** Connections that are open, by their source. */
  private readonly bySource = new Map<string, number>();
  private readonly ended: Promise<void>;
  accepted = 0;
  refused = 0;

  /** Binds an address. Rejects with a BindError. */
  static async bind(address: Address, options: ListenerOptions, handler: ListenerHandler): Promise<Listener> {
    const keepAlive = { keepAlive: address.kind === "tcp", keepAliveInitialDelay: KEEPALIVE_DELAY };
    const server = createServer({ noDelay: true, ...keepAlive, allowHalfOpen: options.allowHalfOpen ?? false });
    try {
      if (address.kind === "unix") await clearStaleSocket(address);
      await listening(server, address, options.shared === true);
    } catch (error) {
      server.close();
      throw await explainBind(address, error);
    }
    return new Listener(server, boundAddress(server, address), options, handler);
  }

  private constructor(server: Server, address: Address, options: ListenerOptions, handler: ListenerHandler) {
    this.server = server;
    this.address = address;
    this.handler = handler;
    this.budget = options.budget;
    this.limits = options.limits ?? defaultListenerLimits;
    this.ended = new Promise((resolve) => server.once("close", resolve));
    server.on("connection", (socket) => this.take(socket));
    server.on("error", (error) => handler.onError(error));
  }

  /** Connections that are open. */
  get connections(): number {
    return this.sockets.size;
  }

  /** Takes no more connections; those that are open stay. The address is free at once. Idempotent. */
  stopAccepting(): void {
    if (this.server.listening) this.server.close();
  }

  /** Stops accepting and destroys every connection that is left; resolves when all are gone. */
  async close(): Promise<void> {
    this.stopAccepting();
    for (const { socket } of this.sockets.values()) socket.destroy();
    await this.ended;
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

function listening(server: Server, address: Address, shared: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    if (address.kind === "unix") {
      server.listen({ path: address.path, backlog: BACKLOG });
      // The socket is there when `listen` returns, and nobody has been let in yet.
      if (server.listening) chmodSync(address.path, address.mode);
    } else {
      // Without a host: every address of both families, or of IPv4 where the machine has no IPv6.
      const host = address.host === "" ? {} : { host: address.host };
      server.listen({ port: address.port, backlog: BACKLOG, reusePort: shared, ...host });
    }
  });
}

function boundAddress(server: Server, asked: Address): Address {
  const bound = server.address();
  if (asked.kind === "unix" || bound === null || typeof bound === "string") return asked;
  return { ...asked, port: bound.port };
}

/** Who is at the other end, in the form in which people write addresses. */
function peerOf(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
  const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
  return formatAddress({ kind: "tcp", host: plain, port });
}
