import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { offered } from "../../runtime/offered.ts";
import { idOf, TestCa } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { callHead, connectPeer } from "../../support/raw-call.ts";
import { tryTls } from "../../support/tls-client.ts";
import { eventually, inScope, type Sidecar } from "../../support/with-proxy.ts";
import { call, filesOf, mesh } from "./mesh.ts";

async function counted(sidecar: Sidecar, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  return sampleValue(await sidecar.metrics(), name, labels) ?? 0;
}

test("between two strict sidecars a call goes by TLS, and each knows whom it talks to", async () => {
  await inScope(async (scope) => {
    const { inbound, outbound, ...made } = await mesh(scope);
    assert.equal((await made.call()).error, undefined);
    const [accepted] = inbound.runtime.listeners.inbound?.acceptor.connections ?? [];
    assert.equal(accepted?.caller?.identity, idOf("caller"));
    assert.equal((await inbound.call()).peer_service, "caller");
    const [cluster] = outbound.runtime.upstreams.clusters();
    assert.equal(cluster?.stats()[0]?.connections[0]?.identity, idOf("up"));
    const [handshakes, ok] = ["outrigger_tls_handshakes_total", { result: "ok" }] as const;
    assert.equal(await counted(outbound, handshakes, { direction: "outbound", ...ok }), 1);
    assert.equal(await counted(inbound, handshakes, { direction: "inbound", ...ok }), 1);
    assert.equal(await counted(inbound, "outrigger_inbound_connections", { transport: "tls" }), 1);
    const seconds = await counted(inbound, "outrigger_tls_certificate_expiry_seconds", {});
    assert.ok(seconds > 3000 && seconds < 3600, `${seconds} s`);
  });
});

test("a plaintext caller of a strict sidecar is refused, and never reaches the application", async () => {
  await inScope(async (scope) => {
    const { inbound, seen } = await mesh(scope);
    assert.equal((await call(inbound.inbound)).error?.code, 14);
    assert.equal(seen.length, 0);
    assert.deepEqual(inbound.calls, []);
  });
});

test("a permissive sidecar takes both on one port, counts them, and gives no identity to plaintext", async () => {
  await inScope(async (scope) => {
    const { inbound, ...made } = await mesh(scope, { inbound: "permissive", outbound: "permissive" });
    assert.equal((await made.call()).error, undefined);
    assert.equal((await call(inbound.inbound)).error, undefined);
    assert.equal((await inbound.call(0)).peer_service, "caller");
    assert.equal((await inbound.call(1)).peer_service, "unauthenticated");
    const total = "outrigger_inbound_connections_opened_total";
    assert.equal(await counted(inbound, total, { transport: "tls" }), 1);
    assert.equal(await counted(inbound, total, { transport: "plaintext" }), 1);
  });
});

test("a permissive caller dials plaintext where nobody says that TLS is taken, and a disabled upstream whatever is said", async () => {
  for (const options of [
    { inbound: "disabled", outbound: "permissive" },
    { inbound: "permissive", outbound: "strict", upstream: { mtls: "disabled" } },
  ] as const) {
    await inScope(async (scope) => {
      const { inbound, ...made } = await mesh(scope, options);
      assert.equal((await made.call()).error, undefined);
      assert.equal((await inbound.call()).peer_service, "unauthenticated");
    });
  }
});

test("an upstream that was reached by TLS is not without it when its mark goes, until the file says disabled for it", async () => {
  await inScope(async (scope) => {
    const { inbound, outbound, ...made } = await mesh(scope, { inbound: "permissive", outbound: "permissive" });
    assert.equal((await made.call()).error, undefined);
    const { discovery, service } = inbound.runtime.config;
    assert.ok(service?.address.kind === "tcp");
    const bare = { discovery: { directory: { ...discovery.directory } } };
    const up = { name: "up", address: `127.0.0.1:${service.address.port}` };
    await inbound.runtime.apply(offered(inbound, { ...bare, service: up }));
    const [cluster] = outbound.runtime.upstreams.clusters();
    const [endpoint] = cluster?.endpoints ?? [];
    await eventually(
      () => endpoint?.meta.mtls === "disabled",
      () => "the mark to go",
    );
    for (const { connection } of inbound.runtime.listeners.inbound?.acceptor.connections ?? [])
      connection.close("the connection of before");
    assert.equal((await made.call()).reason, "DOWNGRADE_REFUSED");
    assert.equal(inbound.calls.length, 1, "nobody was called");
    const { config } = outbound.runtime;
    const orders = config.upstreams.get("up");
    assert.ok(orders !== undefined);
    const upstreams = new Map([["up", { ...orders, mtls: "disabled" as const }]]);
    assert.equal((await outbound.runtime.apply({ ...config, upstreams })).kind, "applied");
    await eventually(
      async () => (await made.call()).error === undefined,
      () => "a call in plaintext",
    );
    assert.equal((await inbound.call(1)).peer_service, "unauthenticated");
  });
});

test("an upstream may be strict where the sidecar is not", async () => {
  await inScope(async (scope) => {
    const { inbound, ...made } = await mesh(scope, {
      inbound: "permissive",
      outbound: "permissive",
      upstream: { mtls: "strict" },
    });
    assert.equal((await made.call()).error, undefined);
    assert.equal((await inbound.call()).peer_service, "caller");
  });
});

test("what fails by TLS is never tried in plaintext: the server hears a handshake and nothing else", async () => {
  await inScope(async (scope) => {
    const first: (number | undefined)[] = [];
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (chunk: Buffer) => {
        first.push(chunk[0]);
        socket.destroy();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    scope.onEnd(() => void server.close());
    const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { files } = await filesOf(scope, await TestCa.make(), "caller");
    const sidecar = await scope.sidecar({
      identity: { name: "caller" },
      mtls: { mode: "strict", source: { files } },
      upstreams: { up: { discovery: "static", endpoints: [endpoint] } },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const answer = await caller.answer(caller.request(callHead("up"), true));
    assert.ok(answer.head.some(({ value }) => value === "TLS_HANDSHAKE_FAILED"));
    for (let probe = 0; probe < 3; probe++) {
      const before = first.length;
      sidecar.clock.jump(20_000);
      await eventually(
        () => first.length > before,
        () => "the endpoint to be tried again",
      );
    }
    // A record with a handshake message, RFC 8446 §5.1.
    assert.deepEqual(new Set(first), new Set([0x16]));
  });
});

test("a client that says nothing is given up after the handshake's time, and keeps nobody else waiting", async () => {
  await inScope(async (scope) => {
    const { inbound, ...made } = await mesh(scope, { inbound: "permissive", outbound: "permissive" });
    const [host = "", port = ""] = inbound.inbound.split(":");
    const silent = connect(Number(port), host);
    let closed = false;
    silent.once("close", () => {
      closed = true;
    });
    await new Promise((resolve) => silent.once("connect", resolve));
    assert.equal((await made.call()).error, undefined);
    assert.equal((await call(inbound.inbound)).error, undefined);
    assert.equal(closed, false);
    await sleep(20);
    inbound.clock.jump(5000);
    await eventually(
      () => closed,
      () => "the silent client to be closed",
    );
    assert.equal(
      await counted(inbound, "outrigger_tls_handshakes_total", { direction: "inbound", result: "timeout" }),
      1,
    );
  });
});

test("a client that sends octet by octet is told apart all the same", async () => {
  await inScope(async (scope) => {
    const { inbound } = await mesh(scope, { inbound: "permissive" });
    const [host = "", port = ""] = inbound.inbound.split(":");
    const socket = connect(Number(port), host);
    socket.setNoDelay(true);
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
    const answered = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    for (const octet of preface) {
      socket.write(Buffer.from([octet]));
      await sleep(1);
    }
    // A SETTINGS frame: its type is the fourth octet.
    assert.equal((await answered)[3], 4);
    socket.destroy();
  });
});

test("handshakes over the limits are refused at once, and the source that has too many keeps no other from coming", async () => {
  await inScope(async (scope) => {
    const handshakes = { atOnce: 8, perSource: 4, rate: 1000 };
    const { inbound, ca, ...made } = await mesh(scope, { mtls: { handshakes } });
    const [host = "", port = ""] = inbound.inbound.split(":");
    let closed = 0;
    const sockets = Array.from({ length: 6 }, () => {
      const socket = connect({ host, port: Number(port), localAddress: "127.0.0.2" });
      socket.on("error", () => {});
      socket.once("close", () => closed++);
      return socket;
    });
    await eventually(
      () => closed === 2,
      () => `2 of 6 to be closed, not ${closed}`,
    );
    assert.equal((await made.call()).error, undefined);
    assert.equal((await tryTls(inbound.inbound, ca, await ca.issue("other"))).spoken, true);
    assert.equal(
      await counted(inbound, "outrigger_tls_handshakes_total", { direction: "inbound", result: "limit" }),
      2,
    );
    for (const socket of sockets) socket.destroy();
  });
});

test("strangers from many addresses have a rate together, and take nothing from whoever has been there before", async () => {
  await inScope(async (scope) => {
    // Two at once, and hardly any more after that.
    const handshakes = { strangers: 1 };
    const { inbound, ca, ...made } = await mesh(scope, { mtls: { handshakes } });
    assert.equal((await made.call()).error, undefined);
    const [host = "", port = ""] = inbound.inbound.split(":");
    const over = (): Promise<number> =>
      counted(inbound, "outrigger_tls_handshakes_total", { direction: "inbound", result: "limit" });
    const sockets: Socket[] = [];
    while ((await over()) === 0 && sockets.length < 200) {
      const socket = connect({ host, port: Number(port), localAddress: `127.0.0.${2 + sockets.length}` });
      sockets.push(socket);
      socket.on("error", () => {});
      await once(socket, "connect");
    }
    assert.equal(await over(), 1);
    assert.equal((await tryTls(inbound.inbound, ca, await ca.issue("other"))).spoken, true);
    for (const socket of sockets) socket.destroy();
  });
});
