import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import { createConnection } from "node:net";
import type { Scope } from "./with-proxy.ts";

/** A connection of Node's own HTTP/2 client to HOST:PORT or `unix:/path`, once the other side's SETTINGS came. */
export async function http2Client(scope: Scope, address: string): Promise<ClientHttp2Session> {
  const [host = "", port = ""] = address.split(":");
  const session = connect(
    "http://up",
    host === "unix"
      ? { createConnection: () => createConnection(port) }
      : { createConnection: () => createConnection(Number(port), host) },
  );
  session.on("error", () => {});
  scope.onEnd(() => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

/** The head of a WebSocket over HTTP/2, RFC 8441 §5.1, with further fields. */
export function webSocketHead(fields: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":path": "/chat",
    ":authority": "up",
    "sec-websocket-version": "13",
    ...fields,
  };
}

/** What came of asking for a WebSocket: `stream` is its octets where it is open, and a body where it is not. */
export interface Opened {
  readonly stream: ClientHttp2Stream;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

export async function openWebSocket(session: ClientHttp2Session, fields: OutgoingHttpHeaders = {}): Promise<Opened> {
  const stream = session.request(webSocketHead(fields), { endStream: false });
  stream.on("error", () => {});
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders & { ":status"?: number }];
  return { stream, status: headers[":status"] ?? 0, headers };
}

/** Reads until so many octets are there. */
export async function readSome(stream: ClientHttp2Stream, octets: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  return await new Promise((resolve, reject) => {
    const done = (): void => {
      stream.off("data", take);
      stream.off("close", ended);
      resolve(Buffer.concat(chunks));
    };
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= octets) done();
    };
    const ended = (): void => reject(new Error(`the stream ended after ${length} octets with code ${stream.rstCode}`));
    stream.on("data", take);
    stream.once("close", ended);
  });
}

/** Reads a stream to its end; the code that it ended with. */
export async function codeOf(stream: ClientHttp2Stream): Promise<number | undefined> {
  stream.resume();
  if (!stream.closed || !stream.destroyed) await new Promise((resolve) => stream.once("close", resolve));
  return stream.rstCode;
}

/** A text frame of a client as RFC 6455 §5.2 has it, masked with zeros; up to 125 octets. */
export function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

/** An HTTP/2 server of Node's own that takes WebSockets; its address. `settings`: what it announces; `path`: of a unix socket. */
export async function http2Server(
  scope: Scope,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  settings: Settings = { enableConnectProtocol: true },
  path?: string,
): Promise<{ readonly address: string; readonly server: Http2Server }> {
  const server = createServer({ settings });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    onStream(stream, headers);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
  });
  server.listen(path ?? { host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  scope.onEnd(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const at = server.address();
  return { address: typeof at === "object" && at !== null ? `127.0.0.1:${at.port}` : `unix:${path}`, server };
}
