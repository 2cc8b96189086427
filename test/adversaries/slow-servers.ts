import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Server, status } from "@grpc/grpc-js";
import { startEnvoyWays } from "../interop/envoy.ts";
import { buildPeers } from "../peers/build.ts";
import { bindServer } from "../support/bind-server.ts";
import { startProcess } from "../support/process.ts";
import type { Scope } from "../support/with-proxy.ts";
import { startApp } from "./app.ts";

/** A real server at its defaults, with a path that takes its time and one that does not. */
export interface SlowServer {
  readonly address: string;
  readonly slow: string;
  readonly fast: string;
  /** Goes on for as long as its caller wants. */
  readonly long: string;
  /** Connections that it has ended for what their clients did. */
  readonly ended: () => number;
}

/** Node's own HTTP/2: it ends a session at 1,000 resets and 33 a second. */
export async function nodeServer(scope: Scope): Promise<SlowServer> {
  let ended = 0;
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    if (headers[":path"] === "/fast") stream.respond({ ":status": 204 }, { endStream: true });
  });
  server.on("sessionError", () => ended++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  scope.onEnd(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, slow: "/slow", fast: "/fast", long: "/slow", ended: () => ended };
}

/** grpc-js: Node's HTTP/2 with what grpc-js makes of it. */
export async function grpcJsServer(scope: Scope): Promise<SlowServer> {
  const server = new Server();
  const pass = (buffer: Buffer): Buffer => buffer;
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: pass,
    requestDeserialize: pass,
    responseSerialize: pass,
    responseDeserialize: pass,
  });
  server.addService(
    { slow: method("/test.Test/Slow"), fast: method("/test.Test/Fast") },
    {
      slow: () => {},
      fast: (_call: unknown, done: (error: object | null, answer?: Buffer) => void) =>
        done({ code: status.NOT_FOUND, details: "" }),
    },
  );
  const port = await bindServer(server, "127.0.0.1:0");
  scope.onEnd(() => server.forceShutdown());
  const slow = "/test.Test/Slow";
  return { address: `127.0.0.1:${port}`, slow, fast: "/test.Test/Fast", long: slow, ended: () => 0 };
}

/** Go's x/net: it ends a connection when 1,000 handlers wait behind 250 that do not notice that they are not wanted. */
export async function goServer(scope: Scope): Promise<SlowServer> {
  const { h2peer } = await buildPeers();
  const server = await startProcess(h2peer, ["-listen", "127.0.0.1:0"]);
  scope.onEnd(async () => void (await server.kill()));
  const [, address = ""] = await server.line(/listening (\S+)/);
  return { address, slow: "/deaf", fast: "/none", long: "/slow", ended: () => 0 };
}

/** Envoy: it ends a connection once half of 500 streams and more were reset young and unanswered. */
export async function envoyServer(scope: Scope): Promise<SlowServer> {
  // Envoy itself passes on every cancel, over one connection.
  const envoy = await startEnvoyWays((await startApp(scope)).address);
  scope.onEnd(() => envoy.stop());
  return { address: envoy.alone, slow: "/slow", fast: "/fast", long: "/slow", ended: () => 0 };
}
