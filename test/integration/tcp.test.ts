import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { closed, connectTo, type Mode, readAll, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { eventually, inScope, type SidecarConfig, wholeConfig } from "../support/with-proxy.ts";

const MODES: readonly Mode[] = ["disabled", "strict"];

for (const mode of MODES) {
  test(`octets pass through two sidecars both ways, and each half ends by itself (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await tcpServer(scope, (socket) => {
        const chunks: Buffer[] = [];
        socket.on("data", (chunk: Buffer) => chunks.push(chunk));
        // The answer comes after the request has ended.
        socket.on("end", () => socket.end(`you said ${Buffer.concat(chunks).toString()}`));
      });
      const { address, inbound, outbound } = await socketMesh(scope, {
        protocol: "tcp",
        applications: [app.address],
        mode,
      });
      const socket = await connectTo(scope, address);
      socket.end("hello");
      assert.equal((await readAll(socket)).toString(), "you said hello");
      for (const sidecar of [inbound, outbound]) {
        const line = await sidecar.call();
        assert.equal(line.grpc_status, "OK");
        assert.equal(line.bytes_received, 5);
        assert.equal(line.bytes_sent, 14);
      }
      const labels = { upstream: "up", method: "TCP/connection", grpc_status: "OK", reason: "", origin: "app" };
      assert.equal(await outbound.handled({ direction: "outbound", ...labels }), 1);
      assert.equal(await inbound.handled({ direction: "inbound", ...labels }), 1);
    });
  });

  test(`a server that speaks first is heard without a word of the client (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await tcpServer(scope, (socket) => socket.end("220 hello\r\n"));
      const { address } = await socketMesh(scope, { protocol: "tcp", applications: [app.address], mode });
      const socket = await connectTo(scope, address);
      assert.equal((await readAll(socket)).toString(), "220 hello\r\n");
      socket.end();
    });
  });

  test(`a reader that stops is felt by the writer behind two sidecars, and gets every octet in the end (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const total = 64 * 1024 * 1024;
      let written = 0;
      const app = await tcpServer(scope, (socket) => {
        const chunk = Buffer.alloc(65_536, 7);
        const more = (): void => {
          while (written < total) {
            written += chunk.length;
            if (!socket.write(chunk)) {
              socket.once("drain", more);
              return;
            }
          }
          socket.end();
        };
        more();
      });
      const { address } = await socketMesh(scope, { protocol: "tcp", applications: [app.address], mode });
      const socket = await connectTo(scope, address);
      await once(socket, "readable");
      let before = -1;
      // At rest: what fits between the two ends has been written, and no more.
      await eventually(
        () => {
          const same = written === before;
          before = written;
          return same && written > 0;
        },
        () => "the writer stops",
        20_000,
      );
      assert.ok(written < total / 2, `${written} octets were written that nobody reads`);
      let read = 0;
      for await (const chunk of socket) read += (chunk as Buffer).length;
      assert.equal(read, total);
      socket.end();
    });
  });

  test(`an instance that refuses connections costs a caller nothing but the time to find out (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const gone = await tcpServer(scope, () => {});
      gone.server.close();
      const app = await tcpServer(scope, (socket) => socket.pipe(socket));
      const applications = [gone.address, app.address];
      const { address, outbound } = await socketMesh(scope, {
        protocol: "tcp",
        applications,
        mode,
        upstream: { balancer: "roundRobin", outlierDetection: { mode: "disabled" } },
      });
      for (let at = 0; at < 4; at++) {
        const socket = await connectTo(scope, address);
        socket.end("ping");
        const said = await readAll(socket).catch(() => Buffer.from("reset"));
        // In plaintext the sidecar of the instance takes the connection before anybody knows; by TLS it says what became of it.
        if (mode === "strict") assert.equal(said.toString(), "ping");
        else assert.ok(["ping", "reset"].includes(said.toString()));
      }
      await eventually(
        () => outbound.calls.length === 4,
        () => "four calls",
      );
    });
  });

  test(`a reset of the application is a reset for the caller, and no end (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await tcpServer(scope, (socket) => {
        socket.write("half an answer");
        socket.once("data", () => socket.resetAndDestroy());
      });
      const { address, outbound } = await socketMesh(scope, { protocol: "tcp", applications: [app.address], mode });
      const socket = await connectTo(scope, address);
      await once(socket, "data");
      socket.write("go");
      const [error] = await once(socket, "error");
      assert.equal(error.code, "ECONNRESET");
      const line = await outbound.call();
      assert.equal(line.reason, "UPSTREAM_LOST");
    });
  });
}

test("connections over maxConcurrent are refused by the limit that calls have", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => socket.pipe(socket));
    const { address, outbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      upstream: { limits: { maxConcurrent: 1 } },
    });
    const first = await connectTo(scope, address);
    first.write("a");
    await once(first, "data");
    const second = await connectTo(scope, address);
    await closed(second);
    const line = await outbound.call();
    assert.equal(line.reason, "CONCURRENCY");
    first.end();
    await closed(first);
  });
});

test("who may not call is refused by the sidecar of the application, which says why to the caller's", async () => {
  await inScope(async (scope) => {
    let seen = 0;
    const app = await tcpServer(scope, () => seen++);
    const { address, inbound, outbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      mode: "strict",
      inbound: { authorization: { default: "deny", allow: [{ name: "friends", services: ["friend"] }] } },
    });
    const socket = await connectTo(scope, address);
    await closed(socket);
    assert.equal((await inbound.call()).reason, "AUTHZ_DENIED");
    assert.equal((await outbound.call()).reason, "AUTHZ_DENIED");
    assert.equal(seen, 0);
  });
});

test("a connection that carries nothing ends after idleTimeout", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => socket.pipe(socket));
    const { address, outbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      upstream: { idleTimeout: "10s" },
    });
    const socket = await connectTo(scope, address);
    socket.write("a");
    await once(socket, "data");
    outbound.clock.jump(11_000);
    await closed(socket);
    const line = await outbound.call();
    assert.equal(line.reason, "IDLE_TIMEOUT");
  });
});

test("a drain waits for connections until grace ends, and then cuts them", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => socket.pipe(socket));
    const { address, inbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      inbound: { drain: { notice: "0s", grace: "100ms" } },
    });
    const socket = await connectTo(scope, address);
    socket.write("a");
    await once(socket, "data");
    const cut = await inbound.runtime.drain();
    assert.equal(cut, 1);
    await closed(socket);
    assert.equal((await inbound.call()).reason, "DRAINING");
  });
});

test("a connection that outlasts the drain of its instance is lost, and the caller's log says that the instance was going", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => socket.pipe(socket));
    const [leaving, staying] = await Promise.all(
      [1, 2].map(() =>
        scope.sidecar({
          service: { name: "up", address: app.address, protocol: "tcp" },
          drain: { notice: "0s", grace: "100ms" },
        }),
      ),
    );
    assert.ok(leaving !== undefined && staying !== undefined);
    const config = (endpoint: string): SidecarConfig => ({
      upstreams: { up: { protocol: "tcp", discovery: "static", endpoints: [endpoint], listen: "127.0.0.1:0" } },
    });
    const caller = await scope.sidecar(config(leaving.inbound));
    const socket = await connectTo(scope, caller.listen("up"));
    socket.write("a");
    await once(socket, "data");
    const loaded = loadConfig(JSON.stringify(wholeConfig(config(staying.inbound))), { file: "test.yaml", env: {} });
    assert.ok(loaded.ok);
    assert.equal((await caller.runtime.apply(loaded.config)).kind, "applied");
    socket.write("b");
    assert.equal(String((await once(socket, "data"))[0]), "b", "it goes on until grace is over");
    assert.equal(await leaving.runtime.drain(), 1);
    await closed(socket);
    const line = await caller.call();
    assert.equal(line.reason, "UPSTREAM_LOST");
    assert.match(
      String(line.detail),
      new RegExp(`^the connection to ${leaving.inbound} was lost during the call, after it had left discovery: `),
    );
  });
});

test("with permissive mTLS a plaintext client may wait for the server to speak first, and sidecars use TLS", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => socket.end("220 hello\r\n"));
    const { address, inbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      mode: "permissive",
      upstream: { mtls: "strict" },
    });
    const plain = await connectTo(scope, inbound.inbound);
    let said = "";
    plain.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await eventually(
      () => {
        inbound.clock.jump(20);
        return said === "220 hello\r\n";
      },
      () => "the server is heard",
    );
    plain.end();
    await closed(plain);
    const socket = await connectTo(scope, address);
    assert.equal((await readAll(socket)).toString(), "220 hello\r\n");
    socket.end();
    assert.match(String((await inbound.call(1)).identity), /^spiffe:/);
  });
});

test("an upstream may change its protocol while running: what stands goes on, what comes is read anew", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => {
      socket.on("data", (chunk: Buffer) => {
        if (chunk.includes("HTTP/1.1")) socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-app: 1\r\n\r\nok");
        else socket.write(chunk);
      });
      socket.on("end", () => socket.end());
    });
    const config = (protocol: string): SidecarConfig => ({
      upstreams: { up: { protocol, discovery: "static", endpoints: [app.address], listen: "127.0.0.1:0" } },
    });
    const sidecar = await scope.sidecar(config("tcp"));
    const standing = await connectTo(scope, sidecar.listen("up"));
    standing.write("one");
    assert.equal(String((await once(standing, "data"))[0]), "one");
    const loaded = loadConfig(JSON.stringify(wholeConfig(config("http1"))), { file: "test.yaml", env: {} });
    assert.ok(loaded.ok);
    assert.equal((await sidecar.runtime.apply(loaded.config)).kind, "applied");
    const answer = await fetch(`http://${sidecar.listen("up")}/`);
    assert.equal(await answer.text(), "ok");
    assert.match(answer.headers.get("x-app") ?? "", /1/);
    standing.write("two");
    assert.equal(String((await once(standing, "data"))[0]), "two");
    standing.end();
    await closed(standing);
  });
});
