import { Agent, type ClientRequestArgs } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Milliseconds for which a connection is kept without a request, unless its server says less: our own keep them longer. */
const IDLE = 60_000;
/** Connections that are kept without a request. */
const MAX_IDLE = 64;

/**
 * Keeps the connections of one endpoint between the requests of HTTP/1.1. It never dials: a request goes out on a connection
 * that is idle, or on the one that was `offered` for it.
 */
export class Http1Agent extends Agent {
  private offered: Socket | undefined = undefined;
  private isClosing = false;
  /** Connections that end with their request. */
  private readonly unwanted = new WeakSet<Duplex>();
  private readonly carried: (socket: Duplex) => void;

  /** `carried`: a connection has carried a request to its end. */
  constructor(carried: (socket: Duplex) => void = () => {}) {
    super({ keepAlive: true, maxFreeSockets: MAX_IDLE, scheduling: "lifo", timeout: IDLE });
    this.carried = carried;
  }

  /** Whether there is an idle connection. */
  get hasIdle(): boolean {
    return this.idle !== undefined;
  }

  /** The idle connection that the next request takes. */
  get idle(): Socket | undefined {
    return this.freeSockets[this.getName()]?.findLast(isUsable);
  }

  isIdle(socket: Socket): boolean {
    return this.freeSockets[this.getName()]?.includes(socket) === true;
  }

  /** Keeps a connection no longer than the request that is under way on it. */
  letGo(socket: Socket): void {
    if (this.isIdle(socket)) socket.destroy();
    else this.unwanted.add(socket);
  }

  /** Ends the idle connections; requests under way go on, and their connections are not kept. */
  destroyIdle(): void {
    for (const socket of [...(this.freeSockets[this.getName()] ?? [])]) socket.destroy();
    this.isClosing = true;
  }

  /** The connection for the request that is made next; undefined: an idle one is. */
  offer(socket: Socket | undefined): void {
    this.offered = socket;
    this.forgetGone();
  }

  /**
   * Node takes the last of the idle connections, were it destroyed a moment ago: it hears of that with "close", which comes after what else
   * comes in in a turn of the event loop. A request would be lost with it.
   */
  private forgetGone(): void {
    const idle = this.freeSockets[this.getName()] ?? [];
    const last = idle.at(-1);
    if (last === undefined || isUsable(last)) return;
    for (const socket of [...idle]) {
      if (isUsable(socket)) continue;
      socket.destroy();
      socket.emit("agentRemove");
    }
  }

  /** What was offered and not taken: an idle connection was. */
  takeBack(): Socket | undefined {
    const { offered } = this;
    this.offered = undefined;
    return offered;
  }

  override getName(): string {
    return "endpoint";
  }

  override createConnection(
    _options: ClientRequestArgs,
    done: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const socket = this.takeBack();
    if (socket !== undefined) done(null, socket);
    // The last of the idle ones has gone a moment ago: the request fails, provably unsent.
    else done(new UnsentError("the idle connection has gone"), undefined as never);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    this.carried(socket);
    // The types say that it returns nothing.
    const keeps: unknown = super.keepSocketAlive(socket);
    return keeps !== false && !this.isClosing && !this.unwanted.has(socket);
  }

  /** The timeout of the agent is for idle connections; a request may take as long as it may. */
  override reuseSocket(socket: Duplex, request: Parameters<Agent["reuseSocket"]>[1]): void {
    if (socket instanceof Socket) socket.setTimeout(0);
    super.reuseSocket(socket, request);
  }
}

function isUsable({ destroyed, writable }: Socket): boolean {
  return !destroyed && writable;
}

/** A request that never left. */
export class UnsentError extends Error {}
