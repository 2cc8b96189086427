import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { cutOff } from "../../src/net/reset.ts";
import { freePort } from "../support/ports.ts";
import { connectTo, echoFrames, httpServer, readAll, socketMesh } from "../support/socket-mesh.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

test("a WebSocket whose application breaks off is lost for its caller, and for the log", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    app.server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      socket.once("data", () => cutOff(socket));
    });
    const { address, outbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const socket = new WebSocket(`ws://${address}/`);
    socket.addEventListener("error", () => {});
    await once(socket, "open");
    const ended = new Promise((resolve) => socket.addEventListener("close", resolve));
    socket.send("go");
    await ended;
    assert.equal((await outbound.call()).reason, "UPSTREAM_LOST");
  });
});

test("who is refused a WebSocket, has said more already and stays is not kept", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.writeHead(404).end("none"));
    for (const upstream of [{}, { endpoints: [`127.0.0.1:${await freePort()}`] }]) {
      const { address, outbound } = await socketMesh(scope, {
        protocol: "http1",
        applications: [app.address],
        upstream,
      });
      const socket = await connectTo(scope, address);
      socket.write("GET / HTTP/1.1\r\nhost: up\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
      assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 (404|503) /);
      const open = (): number =>
        [...outbound.runtime.listeners.all()].reduce((sum, { side }) => sum + side.connectionCount, 0);
      assert.equal(open(), 1);
      outbound.clock.jump(5000);
      await eventually(
        () => open() === 0,
        () => "the connection is gone",
      );
    }
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
