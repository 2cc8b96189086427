import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Passes TCP connections on to a port of 127.0.0.1, and counts them. It may fall silent, break at a word, reset, or refuse. */
export class Relay {
  /** Connections break before this word is passed on towards the port, while it is set. */
  breakAt: string | undefined = undefined;
  /** The most connections that there were at once. */
  most = 0;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private readonly own: number;
  private port: number;
  private open = 0;
  private silent = false;

  private constructor(server: Server, own: number, port: number) {
    this.server = server;
    this.own = own;
    this.port = port;
  }

  static async start(port: number): Promise<Relay> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const relay = new Relay(server, (server.address() as AddressInfo).port, port);
    server.on("connection", (socket) => relay.accept(socket, relay.port));
    return relay;
  }

  /** `http://127.0.0.1:PORT` */
  get address(): string {
    return `http://127.0.0.1:${this.own}`;
  }

  get connections(): number {
    return this.open;
  }

  /** `127.0.0.1:PORT` */
  get host(): string {
    return this.address.slice("http://".length);
  }

  /** Passes nothing on any more, as where a cable was cut: connections stay, and are taken. */
  silence(): void {
    this.silent = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Passes on what has come meanwhile and what comes. */
  speak(): void {
    this.silent = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Resets every connection, on both sides. */
  reset(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Takes no further connection, as a port at which nobody listens. */
  refuse(): void {
    if (this.server.listening) this.server.close();
  }

  /** Takes connections again, for another port. */
  async to(port: number): Promise<void> {
    this.port = port;
    if (this.server.listening) return;
    this.server.listen(this.own, "127.0.0.1");
    await once(this.server, "listening");
  }

  async stop(): Promise<void> {
    this.refuse();
    const closed = [...this.sockets].map((socket) => once(socket, "close"));
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(closed);
  }

  private accept(socket: Socket, port: number): void {
    const onward = connect(port, "127.0.0.1");
    this.open++;
    this.most = Math.max(this.most, this.open);
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.sockets.add(from);
      from.on("data", (chunk: Buffer) => {
        const broken = this.breakAt !== undefined && from === socket && chunk.includes(this.breakAt);
        if (broken) for (const each of [socket, onward]) each.resetAndDestroy();
        else if (!to.write(chunk)) from.pause();
      });
      to.on("drain", () => {
        if (!this.silent) from.resume();
      });
      from.on("end", () => to.end());
      if (this.silent) from.pause();
      // A reset is passed on as one.
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.sockets.delete(from);
        to.destroySoon();
      });
    }
    socket.once("close", () => this.open--);
  }
}
