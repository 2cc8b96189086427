import { once } from "node:events";
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
} from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { certificateFiles, idOf, TestCa } from "./certificates.ts";
import type { Scope, Sidecar, SidecarConfig } from "./with-proxy.ts";

export type Mode = "disabled" | "permissive" | "strict";

/** An application behind its sidecar and the sidecar of a caller, which has a listener of its own for it. */
export interface SocketMesh {
  readonly inbound: Sidecar;
  readonly outbound: Sidecar;
  /** Where the caller reaches the application: HOST:PORT. */
  readonly address: string;
}

export interface SocketMeshOptions {
  readonly protocol: "http1" | "http2" | "tcp";
  /** Where the applications are; each has a sidecar. */
  readonly applications: readonly string[];
  readonly mode?: Mode;
  readonly service?: Readonly<Record<string, unknown>>;
  readonly upstream?: Readonly<Record<string, unknown>>;
  /** More of the sidecars of the application. */
  readonly inbound?: Partial<SidecarConfig>;
  readonly outbound?: Partial<SidecarConfig>;
}

/** Starts it; without a mode both in plaintext. */
export async function socketMesh(
  scope: Scope,
  options: SocketMeshOptions,
): Promise<SocketMesh & { readonly all: readonly Sidecar[] }> {
  const { protocol, applications, mode = "disabled" } = options;
  const ca = mode === "disabled" ? undefined : await TestCa.make();
  const mtls = async (name: string): Promise<Partial<SidecarConfig>> => {
    if (ca === undefined) return {};
    const made = await certificateFiles(ca, name);
    scope.onEnd(() => made.remove());
    return { mtls: { mode, source: { files: made.files } } };
  };
  const all: Sidecar[] = [];
  for (const address of applications)
    all.push(
      await scope.sidecar({
        service: { name: "up", address, protocol, ...options.service },
        ...(await mtls("up")),
        ...options.inbound,
      }),
    );
  const [inbound] = all;
  if (inbound === undefined) throw new Error("a mesh has an application");
  const outbound = await scope.sidecar({
    identity: { name: "caller" },
    upstreams: {
      up: {
        protocol,
        discovery: "static",
        endpoints: all.map((one) => one.inbound),
        listen: "127.0.0.1:0",
        ...(ca === undefined ? {} : { identity: idOf("up") }),
        ...options.upstream,
      },
    },
    ...(await mtls("caller")),
    ...options.outbound,
  });
  return { inbound, outbound, all, address: outbound.listen("up") };
}

/** A server of TCP on loopback, ended with the scope. */
export async function tcpServer(
  scope: Scope,
  onSocket: (socket: Socket) => void,
  { path, allowHalfOpen = true }: { readonly path?: string | undefined; readonly allowHalfOpen?: boolean } = {},
): Promise<{ readonly address: string; readonly server: Server }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen }, (socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => open.delete(socket));
    onSocket(socket);
  });
  server.listen(path ?? { host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  scope.onEnd(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { address: addressOf(server, path), server };
}

/** A server of HTTP/1.1, ended with the scope. */
export async function httpServer(
  scope: Scope,
  listener: RequestListener,
  path?: string,
): Promise<{ readonly address: string; readonly server: HttpServer }> {
  const server = createHttpServer(listener);
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await once(server, "listening");
  scope.onEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address: addressOf(server, path), server };
}

function addressOf(server: Server, path: string | undefined): string {
  if (path !== undefined) return `unix:${path}`;
  const { port } = server.address() as AddressInfo;
  return `127.0.0.1:${port}`;
}

/** Connects to HOST:PORT; the socket ends with the scope. */
export async function connectTo(scope: Scope, address: string): Promise<Socket> {
  const [host, port] = address.split(":");
  const socket = connect({ host: host ?? "", port: Number(port), allowHalfOpen: true });
  socket.on("error", () => {});
  scope.onEnd(() => void socket.destroy());
  // One that is refused is over as soon as it has begun.
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("close", () => resolve());
  });
  return socket;
}

/** What a socket says until it ends, as a whole; rejects where it breaks. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Waits until a connection is gone, whatever became of it. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
    socket.resume();
  });
}

/** What came of a request of HTTP/1.1. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
}

/** Makes a request of HTTP/1.1, on a connection of its own, to HOST:PORT. */
export async function ask(address: string, options: RequestOptions = {}, body?: string): Promise<Answer> {
  const [host, port] = address.split(":");
  const request = httpRequest({ host, port, path: "/", agent: false, ...options });
  request.end(body);
  const [message] = (await once(request, "response")) as [IncomingMessage];
  request.on("error", () => {});
  const text = await textOf(message);
  return { status: message.statusCode ?? 0, headers: message.headers, trailers: message.trailers, body: text };
}

/** The body of a message. */
export async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** A server of WebSocket that says what it hears: RFC 6455 as far as short frames need it. */
export function echoFrames(request: IncomingMessage, socket: Duplex): void {
  const { createHash } = process.getBuiltinModule("node:crypto");
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  socket.on("error", () => {});
  socket.on("data", (frame: Buffer) => {
    const length = (frame[1] ?? 0) & 0x7f;
    const mask = frame.subarray(2, 6);
    const payload = frame.subarray(6, 6 + length).map((octet, at) => octet ^ (mask[at % 4] ?? 0));
    socket.write(Buffer.concat([Buffer.from([frame[0] ?? 0, length]), payload]));
    if (((frame[0] ?? 0) & 0x0f) === 8) socket.end();
  });
}
