import assert from "node:assert/strict";
import { test } from "node:test";
import { SMUGGLING } from "../support/smuggling-forms.ts";
import { connectTo, httpServer, readAll, socketMesh, textOf } from "../support/socket-mesh.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

test("what two could read differently is refused, and its connection ends", async () => {
  await inScope(async (scope) => {
    const seen: string[] = [];
    const app = await httpServer(scope, (request, response) => {
      request.on("error", () => {});
      seen.push(`${request.method} ${request.url}`);
      void textOf(request).then(
        () => response.end("ok"),
        () => {},
      );
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    for (const [name, text] of SMUGGLING) {
      // There is a connection to the application that a request can be sent on at once.
      const honest = await connectTo(scope, address);
      honest.write("GET /honest HTTP/1.1\r\nhost: up\r\nconnection: close\r\n\r\n");
      assert.match((await readAll(honest)).toString(), /^HTTP\/1\.1 200 /);
      const socket = await connectTo(scope, address);
      socket.write(`${text}GET /smuggled HTTP/1.1\r\nhost: up\r\n\r\n`, "latin1");
      const answer = (await readAll(socket).catch(() => Buffer.from(""))).toString("latin1");
      assert.match(answer, /^HTTP\/1\.1 (400|431|50\d) /, `${name}: ${answer}`);
      assert.doesNotMatch(answer, /200 OK/, name);
    }
    assert.deepEqual(new Set(seen), new Set(["GET /honest"]));
  });
});

test("fields that are too large are refused by 431", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end("ok"));
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    for (const head of [`x: ${"a".repeat(70_000)}\r\n`, "x: 1\r\n".repeat(1001)]) {
      const socket = await connectTo(scope, address);
      socket.write(`GET / HTTP/1.1\r\nhost: up\r\nconnection: close\r\n${head}\r\n`);
      assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 431 /);
    }
  });
});

test("who has said no whole request for longest makes room for a newcomer, and who has one does not", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      if (request.url !== "/waits") response.end("ok");
    });
    const { inbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const side = inbound.runtime.listeners.inbound?.side;
    const busy = await connectTo(scope, inbound.inbound);
    busy.write("GET /waits HTTP/1.1\r\nhost: up\r\n\r\n");
    const slow = await connectTo(scope, inbound.inbound);
    slow.write("GET / HTTP/1.1\r\nhost: up\r\n");
    await eventually(
      () => side?.activeCalls === 1 && side.connectionCount === 2,
      () => `one call of two connections, not ${side?.activeCalls} of ${side?.connectionCount}`,
    );
    inbound.clock.jump(10);
    const fresh = await connectTo(scope, inbound.inbound);
    await eventually(
      () => side?.connectionCount === 3,
      () => `three connections, not ${side?.connectionCount}`,
    );
    assert.equal(side?.makeRoom(), true);
    assert.equal((await readAll(slow).catch(() => Buffer.from(""))).length, 0);
    assert.deepEqual([busy.destroyed, fresh.destroyed, side?.connectionCount], [false, false, 2]);
    assert.equal(side?.makeRoom(), true);
    assert.equal(side?.makeRoom(), false, "the one that has a request stays");
    busy.destroy();
  });
});
