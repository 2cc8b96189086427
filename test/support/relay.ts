import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Passes TCP connections on to a port of 127.0.0.1, and counts them. */
export class Relay {
  /** The most connections that there were at once. */
  most = 0;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private open = 0;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(port: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on("connection", (socket) => relay.accept(socket, port));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return relay;
  }

  /** `http://127.0.0.1:PORT` */
  get address(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  get connections(): number {
    return this.open;
  }

  async stop(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
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
      from.pipe(to);
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
