import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connectTo, echoFrames, httpServer, readAll, socketMesh } from "../support/socket-mesh.ts";
import { inScope } from "../support/with-proxy.ts";

test("a WebSocket whose application breaks off is lost for its caller, and for the log", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    app.server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      socket.once("data", () => socket.destroy());
    });
    const { address, outbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const socket = new WebSocket(`ws://${address}/`);
    socket.addEventListener("error", () => {});
    await once(socket, "open");
    const ended = new Promise((resolve) => socket.addEventListener("close", resolve));
    socket.send("go");
    await ended;
    await outbound.call();
  });
});

test("an upgrade that is refused is an answer, and one to something else is no upgrade", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      response.writeHead(404, { "transfer-encoding": "chunked" });
      response.end(`none: ${request.headers.upgrade ?? "-"}`);
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    for (const [upgrade, told] of [
      ["WebSocket", "websocket"],
      ["h2c", "-"],
    ] as const) {
      const socket = await connectTo(scope, address);
      socket.write(`GET / HTTP/1.1\r\nhost: up\r\nconnection: upgrade, close\r\nupgrade: ${upgrade}\r\n\r\n`);
      const answer = (await readAll(socket)).toString();
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.ok(answer.includes(`none: ${told}`), answer);
    }
  });
});
