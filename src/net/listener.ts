import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type Address, formatAddress } from "../core/address.ts";
import { type Placed, Roster } from "../core/roster.ts";
import { explainBind } from "./bind-error.ts";
import { type ConnectionBudget, ENDING } from "./connection-budget.ts";
import { KEEPALIVE_DELAY } from "./connector.ts";
import { clearStaleSocket } from "./stale-socket.ts";

/** How connections are accepted. */
export interface ListenerOptions {
  /** Connections at once; one more is closed at once, unless the handler makes room for it. 10,000 by default. */
  readonly maxConnections?: number;
  /** What other listeners have a part in as well. */
  readonly budget?: ConnectionBudget;
  /** Others of this process bind the same address, and the system gives each a part of the connections. */
  readonly shared?: boolean;
  /** A client may end its half of a connection and go on reading. */
  readonly allowHalfOpen?: boolean;
}

/** Which limit a connection was over: that of its listener, the budget of all, which is of open files, or what the sidecar can bear. */
export type ConnectionLimit = "maxConnections" | "openFiles" | "overload";

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
export const defaultListenerLimits = { maxConnections: 10_000 };
/** Connections that the kernel may hold for us; it takes the smaller of this and net.core.somaxconn. */
const BACKLOG = 4096;

interface OpenSocket extends Placed {
  readonly socket: Socket;
}

/** A bound address that takes connections. */
export class Listener {
  /** The address that was bound; of port 0 the one that the system chose. */
  readonly address: Address;
  readonly maxConnections: number;
  private readonly server: Server;
  private readonly handler: ListenerHandler;
  private readonly budget: ConnectionBudget | undefined;
  private readonly sockets = new Roster<OpenSocket>();
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
    this.maxConnections = options.maxConnections ?? defaultListenerLimits.maxConnections;
    const isFirm = handler.makeRoom === undefined;
    server.maxConnections = Math.ceil(this.maxConnections * (isFirm ? 1 : 1 + ENDING));
    this.ended = new Promise((resolve) => server.once("close", resolve));
    server.on("connection", (socket) => this.take(socket));
    server.on("drop", () => this.refuse("maxConnections"));
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
    const { handler, budget } = this;
    const limit = this.reached();
    if (limit !== undefined && (budget?.isOver === true || handler.makeRoom?.() !== true)) {
      socket.destroy();
      this.refuse(limit);
      return;
    }
    this.accepted++;
    const open: OpenSocket = { socket, place: -1 };
    this.sockets.add(open);
    if (budget !== undefined) budget.open++;
    socket.once("close", () => {
      this.sockets.delete(open);
      if (budget !== undefined) budget.open--;
    });
    handler.onConnection(socket, peerOf(socket, this.address));
  }

  /** The limit that one more connection is over. */
  private reached(): ConnectionLimit | undefined {
    if (this.budget?.isFull === true) return this.budget.shut ? "overload" : "openFiles";
    return this.sockets.size >= this.maxConnections ? "maxConnections" : undefined;
  }

  private refuse(limit: ConnectionLimit): void {
    this.refused++;
    this.handler.onRefused(limit, limit === "openFiles" ? (this.budget?.most ?? 0) : this.maxConnections);
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
function peerOf(socket: Socket, listener: Address): string {
  if (listener.kind === "unix") return "unix";
  const host = socket.remoteAddress;
  // The peer may be gone before it is asked for.
  if (host === undefined) return "unknown";
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
  const plain = host.startsWith("::ffff:") && host.includes(".") ? host.slice("::ffff:".length) : host;
  return formatAddress({ kind: "tcp", host: plain, port: socket.remotePort ?? 0 });
}
