import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { RuntimeView } from "../../src/control/runtime-view.ts";
import { sampleValue } from "../support/prometheus.ts";
import { answerHead, callHead, connectPeer, outboundHop } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { connectTo, echoFrames, httpServer, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { http2Client, http2Server, openWebSocket } from "../support/websocket-http2.ts";
import { eventually, inScope, type Scope, wholeConfig } from "../support/with-proxy.ts";

const KIB = 1024;
const RATE = 320 * KIB;
const BURST = 16 * KIB;
const settings = { burst: "16KiB" };
/** What is sent, and comes back. */
const octets = Buffer.from(Array.from({ length: 96 * KIB }, (_, at) => (at * 7 + (at >> 8)) % 256));

/** An application that sends back what it gets, and how a caller reaches it. */
interface Form {
  readonly protocol: "http2" | "http1" | "tcp";
  readonly app: (scope: Scope) => Promise<string>;
  /** Opens what goes there and comes back. */
  readonly open: (scope: Scope, address: string) => Promise<Duplex>;
}

async function webSocketApp(scope: Scope): Promise<string> {
  const { address, server } = await httpServer(scope, (_request, response) => response.end());
  server.on("upgrade", (request, socket) => {
    echoFrames(request, socket);
    // Octets are octets: nobody looks at frames.
    socket.removeAllListeners("data");
    socket.pipe(socket);
  });
  return address;
}

const forms: Readonly<Record<string, Form>> = {
  "HTTP/2": {
    protocol: "http2",
    async app(scope) {
      const { address } = await http2Server(scope, (stream) => {
        stream.respond({ ":status": 200 });
        stream.pipe(stream);
      });
      return address;
    },
    async open(scope, address) {
      const session = await http2Client(scope, address);
      return session.request({ ":method": "POST", ":path": "/", ":authority": "up" }, { endStream: false });
    },
  },
  TCP: {
    protocol: "tcp",
    app: async (scope) => (await tcpServer(scope, (socket) => void socket.pipe(socket))).address,
    open: connectTo,
  },
  "a WebSocket over HTTP/1.1": {
    protocol: "http1",
    app: webSocketApp,
    async open(scope, address) {
      const [host, port] = address.split(":");
      const fields = {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-version": "13",
      };
      const request = httpRequest({ host, port, path: "/", headers: fields, agent: false }).end();
      const [, socket] = (await once(request, "upgrade")) as [IncomingMessage, Duplex];
      scope.onEnd(() => void socket.destroy());
      return socket;
    },
  },
  "a WebSocket over HTTP/2 to an application of HTTP/1.1": {
    protocol: "http1",
    app: webSocketApp,
    open: async (scope, address) => (await openWebSocket(await http2Client(scope, address))).stream,
  },
};

for (const [name, { protocol, app, open }] of Object.entries(forms))
  test(`octets of ${name} pass at the rate of the caller's sidecar and of the application's, and all of them do`, async () => {
    await inScope(async (scope) => {
      const { address, inbound, outbound } = await socketMesh(scope, {
        protocol,
        applications: [await app(scope)],
        upstream: { bandwidth: { ...settings, request: "320KiB/s" } },
        service: { bandwidth: { ...settings, response: "320KiB/s" } },
      });
      const stream = await open(scope, address);
      stream.on("error", () => {});
      const begun = performance.now();
      const chunks: Buffer[] = [];
      let received = 0;
      const all = new Promise<void>((resolve) => {
        stream.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          received += chunk.length;
          const most = BURST + (RATE * (performance.now() - begun)) / 1000;
          assert.ok(received <= most, `${received} octets, at most ${most}`);
          if (received === octets.length) resolve();
        });
      });
      stream.write(octets);
      await all;
      assert.deepEqual(Buffer.concat(chunks), octets);
      const view = (sidecar: typeof inbound) =>
        new RuntimeView(sidecar.runtime, { drain: () => {}, quit: () => {} }, "test").clusters().bandwidth;
      for (const [sidecar, direction, way] of [
        [outbound, "outbound", "request"],
        [inbound, "inbound", "response"],
      ] as const) {
        const [limit, ...others] = view(sidecar);
        assert.ok(limit !== undefined && others.length === 0);
        // What comes at the pace of the first limit may not have to wait for the second one.
        assert.ok(limit.delayed > 0 || direction === "inbound");
        assert.deepEqual(
          { ...limit, delayed: 0 },
          {
            direction,
            upstream: "up",
            way,
            bytesPerSecond: RATE,
            burst: BURST,
            waiting: 0,
            passed: octets.length,
            delayed: 0,
          },
        );
        const labels = { direction, upstream: "up", way };
        const metrics = await sidecar.metrics();
        assert.equal(sampleValue(metrics, "outrigger_bandwidth_bytes_total", labels), octets.length);
        assert.equal(sampleValue(metrics, "outrigger_bandwidth_limit_bytes", labels), RATE);
      }
      stream.destroy();
    });
  });

test("a WebSocket whose caller has ended its half still gets all that its application says before its own end", async () => {
  await inScope(async (scope) => {
    const { address: app, server } = await httpServer(scope, (_request, response) => response.end());
    server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      socket.removeAllListeners("data");
      socket.resume().once("end", () => socket.end(octets));
    });
    const { address, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app],
      upstream: { bandwidth: { ...settings, response: "320KiB/s" } },
    });
    const caller = await forms["a WebSocket over HTTP/1.1"]?.open(scope, address);
    assert.ok(caller instanceof Socket);
    caller.allowHalfOpen = true;
    caller.end();
    const chunks: Buffer[] = [];
    for await (const chunk of caller) chunks.push(chunk as Buffer);
    assert.deepEqual(Buffer.concat(chunks), octets);
    const { reason, bytes_sent: sent } = await outbound.call();
    assert.deepEqual({ reason, sent }, { reason: undefined, sent: octets.length });
  });
});

test("a request of HTTP/1.1 and its answer pass at the rate, whole, with their trailers", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      request.once("end", () => response.addTrailers({ "x-sum": request.trailers["x-sum"] ?? "none" }));
      response.writeHead(200, { trailer: "x-sum" });
      request.pipe(response);
    });
    const { address, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      upstream: { bandwidth: { ...settings, request: "320KiB/s", response: "320KiB/s" } },
    });
    const [host, port] = address.split(":");
    const begun = performance.now();
    const headers = { trailer: "x-sum", "transfer-encoding": "chunked", te: "trailers" };
    const request = httpRequest({ host, port, path: "/", method: "POST", headers, agent: false });
    request.write(octets);
    request.addTrailers({ "x-sum": "42" });
    request.end();
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    assert.deepEqual(Buffer.concat(chunks), octets);
    assert.equal(answer.trailers["x-sum"], "42");
    assert.ok(performance.now() - begun >= ((octets.length - BURST) / RATE) * 1000 - 1);
    for (const { bandwidth } of outbound.runtime.services.bandwidth.all())
      assert.equal(bandwidth.passed, octets.length);
    assert.equal([...outbound.runtime.services.bandwidth.all()].length, 2);
  });
});

test("a deadline holds while an answer is held back: what still waits is dropped, and the call ends with its status", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, {
      settings: { timeout: "2s", bandwidth: { ...settings, response: "1KiB/s" } },
    });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    upstream.data(request.stream, Buffer.alloc(16 * KIB));
    upstream.data(request.stream, Buffer.alloc(16 * KIB));
    const bandwidth = (): number => [...sidecar.runtime.services.bandwidth.all()][0]?.bandwidth.waiting ?? -1;
    await eventually(
      () => bandwidth() === 1,
      () => "the answer to wait for its turn",
    );
    sidecar.clock.jump(2100);
    const { trailers, data } = await caller.answer(stream);
    assert.equal(fieldOf(trailers ?? [], "outrigger-reason"), "DEADLINE_POLICY");
    assert.ok(data.length < 32 * KIB, `${data.length}`);
    assert.equal(bandwidth(), 0);
  });
});

test("a call is not idle while what is held back of its answer leaves at the pace", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, {
      settings: { idleTimeout: "3s", bandwidth: { ...settings, response: "4KiB/s" } },
    });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    for (let at = 0; at < 3; at++) upstream.data(request.stream, Buffer.alloc(16 * KIB));
    const waiting = (): number => [...sidecar.runtime.services.bandwidth.all()][0]?.bandwidth.waiting ?? -1;
    await eventually(
      () => waiting() === 1,
      () => "the answer to wait for its turn",
    );
    for (let octets = 0; octets < 48 * KIB; ) {
      octets += (await caller.next("data", stream)).data.length;
      if (octets < 48 * KIB) sidecar.clock.jump(1000);
    }
    upstream.headers(request.stream, [["grpc-status", "0"]], true);
    const { trailers } = await caller.answer(stream);
    assert.equal(fieldOf(trailers ?? [], "grpc-status"), "0");
  });
});

test("a call that is cancelled gives its turn to others", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, {
      settings: { bandwidth: { ...settings, request: "8KiB/s" } },
    });
    const limit = () => [...sidecar.runtime.services.bandwidth.all()][0]?.bandwidth;
    const one = caller.request(callHead("up"));
    caller.data(one, Buffer.alloc(16 * KIB));
    caller.data(one, Buffer.alloc(16 * KIB));
    await eventually(
      () => limit()?.waiting === 1,
      () => "the request to wait for its turn",
    );
    const other = caller.request(callHead("up"));
    caller.data(other, Buffer.alloc(KIB), true);
    await eventually(
      () => limit()?.waiting === 2,
      () => "both to wait",
    );
    caller.reset(one, 8);
    await eventually(
      () => limit()?.waiting === 1,
      () => "one to have gone",
    );
    sidecar.clock.jump(1000);
    const upstream = await server.peer();
    const [, second] = [await upstream.nextRequest(), await upstream.nextRequest()];
    await upstream.next("data", second.stream);
    upstream.headers(second.stream, [...answerHead, ["grpc-status", "0"]], true);
    assert.equal(fieldOf((await caller.answer(other)).head, "grpc-status"), "0");
  });
});

test("a reload changes the rate under those that wait, and takes it away", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, {
      settings: { bandwidth: { ...settings, response: "1KiB/s" } },
    });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    for (let at = 0; at < 3; at++) upstream.data(request.stream, Buffer.alloc(16 * KIB));
    upstream.headers(request.stream, [["grpc-status", "0"]], true);
    const [limit] = [...sidecar.runtime.services.bandwidth.all()];
    await eventually(
      () => limit?.bandwidth.waiting === 1,
      () => "the answer to wait for its turn",
    );
    for (const bandwidth of [{ ...settings, response: "2KiB/s" }, undefined]) {
      const up = { discovery: "static", endpoints: [server.address], bandwidth };
      const config = wholeConfig({ identity: { name: "caller" }, upstreams: { up } });
      const loaded = loadConfig(JSON.stringify(config), { file: "test.yaml", env: {} });
      assert.ok(loaded.ok);
      assert.equal((await sidecar.runtime.apply(loaded.config)).kind, "applied");
      if (bandwidth !== undefined) assert.equal(limit?.bandwidth.rate.rate, 2 * KIB);
    }
    const { data, trailers } = await caller.answer(stream);
    assert.equal(data.length, 48 * KIB);
    assert.equal(fieldOf(trailers ?? [], "grpc-status"), "0");
    assert.deepEqual([...sidecar.runtime.services.bandwidth.all()], []);
    // The connection, and calls after it, know of no limit.
    const again = await connectPeer(scope, sidecar.outbound);
    again.request(callHead("up"), true);
    const next = await (server.peers[0] ?? (await server.peer())).nextRequest();
    upstream.headers(next.stream, answerHead);
    upstream.data(next.stream, Buffer.alloc(16 * KIB), true);
    await again.next("data", 1);
  });
});
