import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";

/** A TLS server of Node that knows nothing of sidecars. */
export class TlsServer {
  readonly address: string;
  readonly sockets: TLSSocket[] = [];
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("secureConnection", (socket) => {
      socket.on("error", () => {});
      this.sockets.push(socket);
    });
  }

  static async listen(options: TlsOptions): Promise<TlsServer> {
    const server = createServer({ ALPNProtocols: ["h2"], ...options });
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TlsServer(server);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}
