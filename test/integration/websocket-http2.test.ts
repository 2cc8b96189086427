import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { constants, type IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { reset } from "../../src/net/reset.ts";
import { connectTo, echoFrames, httpServer, readAll, socketMesh } from "../support/socket-mesh.ts";
import {
  codeOf,
  http2Client,
  http2Server,
  openWebSocket,
  readSome,
  textFrame,
  webSocketHead,
} from "../support/websocket-http2.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

// WebSockets over HTTP/2 (RFC 8441): by Node's own client, through two sidecars, to servers of both versions of HTTP.

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR } = constants;

for (const mode of ["disabled", "permissive", "strict"] as const) {
  test(`a WebSocket over HTTP/2 becomes an upgrade for an application of HTTP/1.1 (mTLS ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await httpServer(scope, (_request, response) => response.end());
      let asked: IncomingMessage | undefined;
      app.server.on("upgrade", (request, socket) => {
        asked = request;
        echoFrames(request, socket);
      });
      const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode });
      const session = await http2Client(scope, mesh.address);
      assert.equal(session.remoteSettings.enableConnectProtocol, true);
      const { stream, status, headers } = await openWebSocket(session, { cookie: ["a=1", "b=2"], "x-mine": "yes" });
      assert.equal(status, 200);
      // RFC 8441 §5: none of these is about HTTP/2.
      for (const name of ["upgrade", "connection", "sec-websocket-accept"]) assert.equal(headers[name], undefined);
      stream.write(textFrame("hello"));
      assert.equal((await readSome(stream, 7)).subarray(2).toString(), "hello");
      assert.equal(asked?.method, "GET");
      assert.equal(asked.url, "/chat");
      assert.equal(asked.headers.host, "up");
      assert.equal(asked.headers.cookie, "a=1; b=2");
      assert.equal(asked.headers["x-mine"], "yes");
      assert.equal(asked.headers["sec-websocket-version"], "13");
      stream.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
      assert.equal(await codeOf(stream), NGHTTP2_NO_ERROR);
      for (const [sidecar, direction, protocol, octets] of [
        [mesh.outbound, "outbound", "http2", 11 + 6],
        [mesh.inbound, "inbound", "http1", 11 + 6],
      ] as const) {
        const line = await sidecar.call();
        assert.deepEqual(
          [line.protocol, line.http_method, line.method, line.grpc_status, line.bytes_received, line.bytes_sent],
          [protocol, "GET", "chat", "OK", octets, 7 + 2],
        );
        const labels = { direction, upstream: "up", method: "HTTP/GET", grpc_status: "OK", reason: "", origin: "app" };
        assert.equal(await sidecar.handled(labels), 1);
      }
    });
  });

  test(`a WebSocket over HTTP/2 goes on as one to an application that takes them (mTLS ${mode})`, async () => {
    await inScope(async (scope) => {
      let asked: IncomingHttpHeaders = {};
      const app = await http2Server(scope, (stream, headers) => {
        asked = headers;
        stream.respond({ ":status": 200, "sec-websocket-protocol": "chat" });
        stream.pipe(stream);
      });
      const service = { protocol: "http2", health: "none" };
      const mesh = await socketMesh(scope, { protocol: "http2", applications: [app.address], service, mode });
      const session = await http2Client(scope, mesh.address);
      const { stream, status, headers } = await openWebSocket(session, { "sec-websocket-protocol": "chat" });
      assert.equal(status, 200);
      assert.equal(headers["sec-websocket-protocol"], "chat");
      stream.write("octets");
      assert.equal((await readSome(stream, 6)).toString(), "octets");
      assert.deepEqual(
        [asked[":method"], asked[":protocol"], asked[":path"], asked[":authority"], asked[":scheme"]],
        ["CONNECT", "websocket", "/chat", "up", "http"],
      );
      stream.end();
      assert.equal(await codeOf(stream), NGHTTP2_NO_ERROR);
      for (const sidecar of [mesh.outbound, mesh.inbound]) {
        const { protocol, http_method, http_status, grpc_status, bytes_received, bytes_sent } = await sidecar.call();
        assert.deepEqual(
          [protocol, http_method, http_status, grpc_status, bytes_received, bytes_sent],
          ["http2", "GET", 200, "OK", 6, 6],
        );
      }
    });
  });
}

test("octets pass both ways as fast as they are read, whatever the upstream speaks", async () => {
  await inScope(async (scope) => {
    const echo = (socket: Duplex): void => {
      socket.pipe(socket);
      socket.on("error", () => {});
    };
    const one = await httpServer(scope, (_request, response) => response.end());
    one.server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      socket.removeAllListeners("data");
      echo(socket);
    });
    const two = await http2Server(scope, (stream) => {
      stream.respond();
      echo(stream);
    });
    for (const [protocol, { address }] of [
      ["http1", one],
      ["http2", two],
    ] as const) {
      const mesh = await socketMesh(scope, { protocol, applications: [address], service: { health: "none" } });
      const { stream } = await openWebSocket(await http2Client(scope, mesh.address));
      const sent = Buffer.alloc(4 << 20, "0123456789abcdefg");
      stream.write(sent);
      // Nobody reads: it all stands still somewhere on the way, and nothing is lost.
      await eventually(
        () => stream.writableLength > 0,
        () => "the caller is told to wait",
      );
      const back = await readSome(stream, sent.length);
      assert.ok(back.equals(sent), protocol);
      stream.end();
      assert.equal(await codeOf(stream), NGHTTP2_NO_ERROR);
      assert.equal((await mesh.outbound.call()).bytes_received, sent.length);
    }
  });
});

test("what a caller says before it is answered comes to the application", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    app.server.on("upgrade", (request, socket) => setImmediate(() => echoFrames(request, socket)));
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode: "strict" });
    const session = await http2Client(scope, mesh.address);
    const stream = session.request(webSocketHead(), { endStream: false });
    stream.write(textFrame("early"));
    assert.equal((await readSome(stream, 7)).subarray(2).toString(), "early");
  });
});

test("a WebSocket that breaks is reset with CANCEL, for the one end as for the other", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    const sockets: Duplex[] = [];
    app.server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      sockets.push(socket);
    });
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const session = await http2Client(scope, mesh.address);
    const first = await openWebSocket(session);
    reset(sockets[0] as Socket);
    assert.equal(await codeOf(first.stream), NGHTTP2_CANCEL);
    const lost = await mesh.outbound.call();
    assert.deepEqual([lost.reason, lost.grpc_status], ["UPSTREAM_LOST", "UNAVAILABLE"]);

    const second = await openWebSocket(session);
    const ended = new Promise((resolve) => sockets[1]?.once("close", resolve));
    // Not `close`, which says END_STREAM before it resets.
    second.stream.destroy(new Error("enough"));
    await ended;
    assert.equal((await mesh.outbound.call(1)).grpc_status, "CANCELLED");
  });
});

test("the same through HTTP/2 all the way", async () => {
  await inScope(async (scope) => {
    const streams: { destroy(error: Error): void }[] = [];
    const app = await http2Server(scope, (stream) => {
      stream.respond();
      streams.push(stream);
      stream.resume();
    });
    const mesh = await socketMesh(scope, {
      protocol: "http2",
      applications: [app.address],
      service: { health: "none" },
    });
    const { stream } = await openWebSocket(await http2Client(scope, mesh.address));
    streams[0]?.destroy(new Error("broken"));
    assert.equal(await codeOf(stream), NGHTTP2_CANCEL);
    assert.equal((await mesh.inbound.call()).reason, "RST_STREAM");
  });
});

test("an open WebSocket outlasts its timeout, and is cut where nothing moves and where a drain is over, in words of the log", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    app.server.on("upgrade", echoFrames);
    for (const [limit, cause, reason] of [
      [{ timeout: "20s" }, "drain", "DRAINING"],
      [{ idleTimeout: "3s" }, "silence", "IDLE_TIMEOUT"],
    ] as const) {
      const mesh = await socketMesh(scope, {
        protocol: "http1",
        applications: [app.address],
        mode: "strict",
        upstream: limit,
        outbound: { drain: { notice: "0s", grace: "100ms" } },
      });
      const { stream, status } = await openWebSocket(await http2Client(scope, mesh.address));
      assert.equal(status, 200);
      if (cause === "drain") mesh.outbound.clock.jump(21_000);
      stream.write(textFrame("alive"));
      assert.equal((await readSome(stream, 7)).subarray(2).toString(), "alive");
      if (cause === "drain") void mesh.outbound.runtime.drain();
      assert.equal(await codeOf(stream), NGHTTP2_CANCEL, cause);
      const line = await mesh.outbound.call();
      assert.deepEqual([line.reason, line.http_status, line.bytes_sent], [reason, 200, 7]);
      assert.equal(await mesh.outbound.handled({ direction: "outbound", upstream: "up", reason }), 1);
    }
  });
});

test("an application that does not go over is heard as it is, and one that says 200 is not taken for one that did", async () => {
  await inScope(async (scope) => {
    let status = 404;
    const app = await httpServer(scope, (_request, response) => {
      response.writeHead(status, { "x-why": "none here" });
      response.end("no such chat");
    });
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode: "strict" });
    const session = await http2Client(scope, mesh.address);
    const declined = await openWebSocket(session);
    assert.equal(declined.status, 404);
    assert.equal(declined.headers["x-why"], "none here");
    assert.equal((await readSome(declined.stream, 12)).toString(), "no such chat");
    assert.equal((await mesh.outbound.call()).grpc_status, "NOT_FOUND");
    status = 200;
    const wrong = await openWebSocket(session);
    assert.equal(wrong.status, 502);
    assert.equal(wrong.headers["outrigger-reason"], "PROTOCOL");
    assert.equal((await mesh.outbound.call(1)).reason, "PROTOCOL");
  });
});

test("an upgrade with the wrong key is none", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end());
    app.server.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n");
      socket.write("sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
      socket.on("error", () => {});
    });
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const { status, headers } = await openWebSocket(await http2Client(scope, mesh.address));
    assert.deepEqual([status, headers["outrigger-reason"]], [502, "PROTOCOL"]);
  });
});

test("who does not take them is not asked: 501 for another protocol, and for an application without the setting", async () => {
  await inScope(async (scope) => {
    let asked = 0;
    const app = await http2Server(scope, () => asked++, {});
    const mesh = await socketMesh(scope, {
      protocol: "http2",
      applications: [app.address],
      service: { health: "none" },
    });
    const session = await http2Client(scope, mesh.address);
    for (const fields of [{}, { ":protocol": "connect-udp" }]) {
      const { status, headers } = await openWebSocket(session, fields);
      assert.equal(status, 501);
      assert.equal(headers["outrigger-reason"], "CONNECT_UNSUPPORTED");
    }
    assert.equal(asked, 0);
    assert.equal((await mesh.inbound.call()).reason, "CONNECT_UNSUPPORTED");
  });
});

test("a sidecar whose application speaks gRPC does not say that it takes WebSockets, and resets who asks all the same", async () => {
  await inScope(async (scope) => {
    const { address } = await http2Server(scope, (stream) => stream.respond());
    const sidecar = await scope.sidecar({ service: { name: "up", address, health: "none" } });
    const session = await http2Client(scope, sidecar.inbound);
    assert.notEqual(session.remoteSettings.enableConnectProtocol, true);
    const stream = session.request(webSocketHead(), { endStream: false });
    stream.on("error", () => {});
    assert.equal(await codeOf(stream), NGHTTP2_PROTOCOL_ERROR);
  });
});

test("HTTP/1.1 on the same port is as before, also where a request begins slowly as HTTP/2 does", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => response.end(request.method));
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const { sidecar, address } = { sidecar: mesh.outbound, address: mesh.address };
    const socket = await connectTo(scope, address);
    socket.write("P");
    // While nothing decides it counts as a connection that has nothing to do.
    await eventually(
      () => [...sidecar.runtime.listeners.all()].some(({ side }) => side.connectionCount === 1),
      () => "the connection is counted",
    );
    socket.write("ROPFIND / HTTP/1.1\r\nhost: up\r\nconnection: close\r\n\r\n");
    assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 200 [\s\S]*PROPFIND$/);
    const session = await http2Client(scope, address);
    const other = session.request({ ":path": "/" });
    const [headers] = (await once(other, "response")) as [IncomingHttpHeaders];
    assert.equal(headers["outrigger-reason"], "PROTOCOL");
    await eventually(
      () => [...sidecar.runtime.listeners.all()].every(({ side }) => side.connectionCount === 0),
      () => "what is HTTP/2 is no connection of HTTP/1.1",
    );
  });
});

test("policies of a tunnel: it is made once, its refusals open the breaker, and its timeout is for the answer", async () => {
  await inScope(async (scope) => {
    let asked = 0;
    let status = 503;
    const app = await http2Server(scope, (stream) => {
      asked++;
      if (status === 0) return;
      stream.respond({ ":status": status });
      if (status === 200) stream.pipe(stream);
      else stream.end();
    });
    const retry = { idempotentMethods: ["*"], statuses: ["unavailable"], attempts: 3 };
    const breaker = { failureRate: "50%", window: "10s", minimumRequests: 4, openFor: "60s" };
    const same = { protocol: "http2", discovery: "static", endpoints: [app.address], listen: "127.0.0.1:0" };
    const sidecar = await scope.sidecar({
      upstreams: {
        tried: { ...same, retry, outlierDetection: { mode: "disabled" } },
        broken: { ...same, circuitBreaker: breaker, outlierDetection: { mode: "disabled" } },
        timed: { ...same, timeout: "5s" },
      },
    });
    const ask = async (name: string) => openWebSocket(await http2Client(scope, sidecar.listen(name)));
    assert.equal((await ask("tried")).status, 503);
    assert.equal(asked, 1, "nothing of it is made again");
    const reasons = new Set<unknown>();
    await eventually(
      async () => {
        const { headers } = await ask("broken");
        return reasons.add(headers["outrigger-reason"]).has("CIRCUIT_OPEN");
      },
      () => [...reasons].join(),
    );
    status = 200;
    const open = await ask("timed");
    sidecar.clock.jump(6000);
    open.stream.write("still");
    assert.equal((await readSome(open.stream, 5)).toString(), "still");
    open.stream.end();
    assert.equal(await codeOf(open.stream), NGHTTP2_NO_ERROR);
    status = 0;
    const before = asked;
    const waiting = ask("timed");
    await eventually(
      () => asked > before,
      () => "it is asked",
    );
    sidecar.clock.jump(6000);
    const late = await waiting;
    assert.deepEqual([late.status, late.headers["outrigger-reason"]], [504, "DEADLINE_POLICY"]);
  });
});

test("a drain lets a tunnel to an application of HTTP/2 go on until grace is over, and cuts it then on both sides", async () => {
  await inScope(async (scope) => {
    const codes: (number | undefined)[] = [];
    const app = await http2Server(scope, (stream) => {
      stream.respond();
      stream.pipe(stream);
      stream.once("close", () => codes.push(stream.rstCode));
    });
    const mesh = await socketMesh(scope, {
      protocol: "http2",
      applications: [app.address],
      mode: "strict",
      inbound: { drain: { notice: "0s", grace: "30s" } },
    });
    const session = await http2Client(scope, mesh.address);
    const { stream } = await openWebSocket(session);
    void mesh.inbound.runtime.drain();
    stream.write("on");
    assert.equal((await readSome(stream, 2)).toString(), "on");
    mesh.inbound.clock.jump(31_000);
    assert.equal(await codeOf(stream), NGHTTP2_CANCEL);
    await eventually(
      () => codes.length === 1,
      () => "the application hears of it",
    );
    assert.deepEqual(codes, [NGHTTP2_CANCEL]);
    assert.equal((await mesh.inbound.call()).reason, "DRAINING");
    assert.equal((await mesh.outbound.call()).reason, "RST_STREAM");
  });
});
