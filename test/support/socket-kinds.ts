import { createHash } from "node:crypto";
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { reset } from "../../src/net/reset.ts";
import { httpServer, tcpServer } from "./socket-mesh.ts";
import { codeOf, http2Client, openWebSocket } from "./websocket-http2.ts";
import type { Scope } from "./with-proxy.ts";

/** Calls that take a whole connection of their upstream. */
export const kinds = ["HTTP/1.1", "WebSocket", "WebSocket over HTTP/2", "TCP"] as const;
export type Kind = (typeof kinds)[number];

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** What a caller reads. */
export interface Said {
  /** The name of the application that answered; empty where none did. */
  readonly by: string;
  /** Of HTTP, a WebSocket's 101 or 200 included; 0 where there is none. */
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
}

const NO_ANSWER: Said = { by: "", status: 0, fields: {} };

type Behaviour = "ok" | "failing" | "limited" | "silent";

/** An application of a protocol, which says its name. */
export class Application {
  readonly name: string;
  address = "";
  mode: Behaviour = "ok";
  /** Fields of the last request. */
  heard: IncomingHttpHeaders = {};

  constructor(name: string) {
    this.name = name;
  }

  static async start(scope: Scope, kind: Kind, name: string, path?: string): Promise<Application> {
    const app = new Application(name);
    if (kind === "TCP") await app.listenTcp(scope, path);
    else await app.listenHttp(scope, path);
    return app;
  }

  private async listenTcp(scope: Scope, path: string | undefined): Promise<void> {
    const onSocket = (socket: Socket): void => {
      // As soon as it stands it would be a connection that cannot be made.
      if (this.mode === "failing") socket.once("data", () => reset(socket));
      else if (this.mode !== "silent") socket.end(this.name);
      socket.resume();
    };
    this.address = (await tcpServer(scope, onSocket, { path, allowHalfOpen: false })).address;
  }

  private async listenHttp(scope: Scope, path: string | undefined): Promise<void> {
    const { address, server } = await httpServer(
      scope,
      (request, response) => {
        this.heard = request.headers;
        if (this.mode !== "silent") response.writeHead(this.status, this.fields).end();
      },
      path,
    );
    this.address = address;
    server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
      this.heard = request.headers;
      socket.on("error", () => {});
      scope.onEnd(() => void socket.destroy());
      if (this.mode === "silent") return;
      const accept = createHash("sha1")
        .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      const over = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-accept": accept };
      const fields = { ...this.fields, ...(this.mode === "ok" ? over : { connection: "close" }) };
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 ${this.mode === "ok" ? 101 : this.status} Said\r\n${lines.join("")}\r\n`);
      if (this.mode !== "ok") socket.end();
      socket.once("end", () => socket.end()).resume();
    });
  }

  private get status(): number {
    return this.mode === "failing" ? 503 : this.mode === "limited" ? 429 : 200;
  }

  private get fields(): Readonly<Record<string, string>> {
    return { "x-by": this.name, "content-length": "0", ...(this.mode === "limited" ? { "retry-after": "15" } : {}) };
  }
}

/** Makes a call, to its end. */
export async function call(
  scope: Scope,
  kind: Kind,
  address: string,
  headers: Readonly<Record<string, string>> = {},
  path = "/",
): Promise<Said> {
  const said = (status: number | undefined, fields: IncomingHttpHeaders): Said => {
    return { by: String(fields["x-by"] ?? ""), status: status ?? 0, fields };
  };
  if (kind === "TCP") {
    const [host = "", port = ""] = address.split(":");
    const socket = connect({
      ...(host === "unix" ? { path: port } : { host, port: Number(port) }),
      allowHalfOpen: true,
    });
    socket.on("error", () => {});
    scope.onEnd(() => void socket.destroy());
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.end("who?");
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    return { ...NO_ANSWER, by: Buffer.concat(chunks).toString() };
  }
  if (kind === "WebSocket over HTTP/2") {
    const session = await http2Client(scope, address);
    const { stream, status, headers: fields } = await openWebSocket(session, { ":path": path, ...headers });
    stream.end();
    await codeOf(stream);
    session.close();
    return said(status, fields);
  }
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
  };
  const [host, port = ""] = address.split(":");
  const request = httpRequest({
    ...(host === "unix" ? { socketPath: port } : { host, port: Number(port) }),
    path,
    agent: false,
    headers: { host: "up", ...headers, ...(kind === "WebSocket" ? upgrade : {}) },
  });
  scope.onEnd(() => void request.destroy());
  request.end();
  return await new Promise((resolve) => {
    request.on("error", () => resolve(NO_ANSWER));
    request.on("response", (message) => {
      message.resume().once("close", () => resolve(said(message.statusCode, message.headers)));
    });
    request.on("upgrade", (message, socket) => {
      socket.end();
      socket.resume().once("close", () => resolve(said(message.statusCode, message.headers)));
    });
  });
}
