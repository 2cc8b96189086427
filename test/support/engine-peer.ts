import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { systemClock } from "../../src/core/clock.ts";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import { Connection, type Http2Services } from "../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../src/http2/connection-handler.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import type { StreamHandler } from "../../src/http2/stream.ts";
import type { PlainField } from "./hpack-peer.ts";

/** For many calls in a short time: callers and applications that speak by our own engine. */
const services: Http2Services = {
  clock: systemClock,
  loop: new FlushLoop(systemClock),
  headers: new HeaderTable(),
};

const quiet: StreamHandler = {
  onInformational() {},
  onHead() {},
  onData() {},
  onTrailers() {},
  onSent() {},
  onAbort() {},
};

const silent: Omit<ConnectionHandler, "onStream"> = {
  onCapacity() {},
  onGoaway() {},
  onClose() {},
  onFault(error) {
    throw error;
  },
};

/** What becomes of a request: `reply` answers it with one head, now or later; it does nothing once the caller has gone. */
type Take = (request: Head, reply: (head: Iterable<PlainField>) => void) => void;

/** An application that answers every request with one head. */
export class EngineServer {
  readonly address: string;
  requests = 0;
  private readonly sockets: Set<Socket>;
  private readonly stopListening: () => void;

  private constructor(address: string, sockets: Set<Socket>, stopListening: () => void) {
    this.address = address;
    this.sockets = sockets;
    this.stopListening = stopListening;
  }

  static async start(answer: (request: Head) => Iterable<PlainField>): Promise<EngineServer> {
    return await EngineServer.listen((request, reply) => reply(answer(request)));
  }

  static async listen(take: Take): Promise<EngineServer> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      const handler: ConnectionHandler = {
        ...silent,
        onStream: (stream, head) => {
          made.requests++;
          stream.handler = { ...quiet, onData: (_buffer, start, end) => stream.release(end - start) };
          take(head, (fields) => {
            if (stream.canSend) stream.sendHead(services.headers.head(fields), true);
          });
        },
      };
      const how = { role: "server", limits: defaultLimits, reuse: "callback", announce: false } as const;
      new Connection(socket, services, how, handler);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new Error("the server does not listen");
    const made = new EngineServer(`127.0.0.1:${bound.port}`, sockets, () => void server.close());
    return made;
  }

  stop(): void {
    this.stopListening();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A caller over one connection. */
export class EngineClient {
  private readonly connection: Connection;
  private readonly socket: Socket;
  private wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    const how = { role: "client", limits: defaultLimits, reuse: "callback", announce: false } as const;
    const handler = { ...silent, onCapacity: () => this.wake(), onStream: () => {} };
    this.connection = new Connection(socket, services, how, handler);
  }

  /** `tls`: what a TLS client knows and shows; without it plaintext is spoken. */
  static async connect(address: string, tls?: ConnectionOptions): Promise<EngineClient> {
    const colon = address.lastIndexOf(":");
    const to = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true };
    if (tls === undefined) {
      const socket = connect(to);
      await once(socket, "connect");
      return new EngineClient(socket);
    }
    const socket = connectTls({ ALPNProtocols: ["h2"], checkServerIdentity: () => undefined, ...to, ...tls });
    await once(socket, "secureConnect");
    return new EngineClient(socket);
  }

  /** Makes a call; resolves with the head of its answer, which here is all of it. */
  call(head: Iterable<PlainField>): Promise<Head> {
    return new Promise((resolve, reject) => {
      this.connection.openStream(services.headers.head(head), true, {
        ...quiet,
        onHead: (answer) => resolve(answer),
        onAbort: (abort) => reject(new Error(`the call was aborted: ${JSON.stringify(abort)}`)),
      });
    });
  }

  /** Makes a call for each head, so many at a time; hands on the answers as they come. */
  async flood(heads: Iterable<Iterable<PlainField>>, atOnce: number, onAnswer: (head: Head) => void): Promise<void> {
    const iterator = heads[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (let next = iterator.next(); next.done !== true; next = iterator.next())
        onAnswer(await this.call(next.value));
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  close(): void {
    this.socket.destroy();
  }
}
