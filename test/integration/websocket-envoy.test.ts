import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { constants } from "node:http2";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { skipUnless } from "../support/real-parts.ts";
import { echoFrames, httpServer } from "../support/socket-mesh.ts";
import { codeOf, http2Client, http2Server, openWebSocket, readSome, textFrame } from "../support/websocket-http2.ts";
import { inScope, type Scope } from "../support/with-proxy.ts";
import { webSocketEnvoy } from "./external/envoy.ts";

// WebSockets over HTTP/2 (RFC 8441) with a real Envoy on either side of a sidecar.

const guard = skipUnless("envoy");
const { NGHTTP2_NO_ERROR } = constants;
const CLOSE = Buffer.from([0x88, 0x80, 0, 0, 0, 0]);

/** An application of HTTP/1.1 that takes WebSockets. */
async function chat(scope: Scope): Promise<{ readonly address: string; readonly open: Duplex[] }> {
  const open: Duplex[] = [];
  const { address, server } = await httpServer(scope, (_request, response) => response.writeHead(404).end("no chat"));
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    open.push(socket);
    echoFrames(request, socket);
  });
  return { address, open };
}

/** The same of HTTP/2. */
async function chatOfHttp2(scope: Scope): Promise<{ readonly address: string }> {
  return await http2Server(scope, (stream) => {
    stream.respond();
    stream.on("data", (frame: Buffer) => {
      const [first = 0, second = 0] = frame;
      stream.write(Buffer.concat([Buffer.from([first, second & 0x7f]), frame.subarray(6)]));
      if ((first & 0x0f) === 8) stream.end();
    });
  });
}

/** Says something and hears it; then both halves end. */
async function converse(scope: Scope, address: string): Promise<void> {
  const { stream, status } = await openWebSocket(await http2Client(scope, address));
  assert.equal(status, 200);
  for (const text of ["hello", "again"]) {
    stream.write(textFrame(text));
    assert.equal((await readSome(stream, text.length + 2)).subarray(2).toString(), text);
  }
  stream.end(CLOSE);
  assert.equal(await codeOf(stream), NGHTTP2_NO_ERROR);
}

test(
  "a caller behind an Envoy opens a WebSocket at the inbound sidecar, whatever its application speaks",
  guard,
  async () => {
    await inScope(async (scope) => {
      const one = await chat(scope);
      const two = await chatOfHttp2(scope);
      for (const [protocol, address] of [
        ["http1", one.address],
        ["http2", two.address],
      ] as const) {
        const sidecar = await scope.sidecar({ service: { name: "up", address, protocol, health: "none" } });
        const envoy = await webSocketEnvoy(scope, sidecar.inbound, { upstream: "http2" });
        await converse(scope, envoy);
        const { protocol: spoken, http_method, grpc_status, bytes_received } = await sidecar.call();
        assert.deepEqual([spoken, http_method, grpc_status, bytes_received], ["http2", "GET", "OK", 11 + 11 + 6]);
      }
    });
  },
);

test("the outbound sidecar asks an Envoy that says it takes WebSockets, and no other", guard, async () => {
  await inScope(async (scope) => {
    // Not HTTP/1.1, whose end Envoy tells by a reset with CONNECT_ERROR, whoever asks.
    const app = await chatOfHttp2(scope);
    const takes = await webSocketEnvoy(scope, app.address, { upstream: "http2" });
    const not = await webSocketEnvoy(scope, app.address, { upstream: "http2", takes: false });
    const upstream = { protocol: "http2", discovery: "static", listen: "127.0.0.1:0" };
    const sidecar = await scope.sidecar({
      upstreams: { up: { ...upstream, endpoints: [takes] }, not: { ...upstream, endpoints: [not] } },
    });
    await converse(scope, sidecar.listen("up"));
    assert.equal((await sidecar.call()).grpc_status, "OK");
    const refused = await openWebSocket(await http2Client(scope, sidecar.listen("not")));
    assert.deepEqual([refused.status, refused.headers["outrigger-reason"]], [501, "CONNECT_UNSUPPORTED"]);
  });
});

test("what breaks on one side of an Envoy is broken on the other", guard, async () => {
  await inScope(async (scope) => {
    const app = await chat(scope);
    const inbound = await scope.sidecar({ service: { name: "up", address: app.address, protocol: "http1" } });
    const envoy = await webSocketEnvoy(scope, inbound.inbound, { upstream: "http2" });
    const sidecar = await scope.sidecar({
      upstreams: { up: { protocol: "http2", discovery: "static", endpoints: [envoy], listen: "127.0.0.1:0" } },
    });
    const session = await http2Client(scope, sidecar.listen("up"));
    const first = await openWebSocket(session);
    const [socket] = app.open;
    assert.ok(socket !== undefined);
    const gone = new Promise((resolve) => socket.once("close", resolve));
    first.stream.destroy(new Error("enough"));
    await gone;
    for (const each of [sidecar, inbound]) assert.equal((await each.call()).grpc_status, "CANCELLED");
    const second = await openWebSocket(session);
    app.open[1]?.destroy();
    second.stream.once("end", () => second.stream.end());
    await codeOf(second.stream);
  });
});
