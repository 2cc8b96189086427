import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeView } from "../../src/control/runtime-view.ts";
import { offered } from "../runtime/offered.ts";
import { CountingCaller } from "../support/caller.ts";
import { Tally } from "../support/counting.ts";
import { sampleValue } from "../support/prometheus.ts";
import {
  answerHead,
  callHead,
  connectPeer,
  inboundConfig,
  inboundHop,
  message,
  outboundHop,
} from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { ask, closed, connectTo, echoFrames, httpServer, readAll, tcpServer, textOf } from "../support/socket-mesh.ts";
import { eventually, inScope, type Sidecar } from "../support/with-proxy.ts";

const HIGHEST = 2 ** 31 - 1;

async function call(caller: RawPeer, authority = "up"): Promise<string | undefined> {
  return fieldOf((await caller.answer(caller.request(callHead(authority), true))).head, "grpc-status");
}

/** Waits until the other end has the acknowledgement of its SETTINGS: it waits for that for a time that a test may jump over. */
async function greeted(caller: RawPeer): Promise<void> {
  await caller.next("settings");
  caller.ping("greeting");
  await caller.next("ping");
}

async function asked(sidecar: Sidecar, direction: string, limit: string): Promise<number | undefined> {
  return sampleValue(await sidecar.metrics(), "outrigger_connections_asked_to_go_total", { direction, limit });
}

async function refused(sidecar: Sidecar, listener: string, limit: string): Promise<number | undefined> {
  return sampleValue(await sidecar.metrics(), "outrigger_connections_refused_total", { listener, limit });
}

// Through a sidecar, for Node's own client refuses by itself what it was about to send when it reads a GOAWAY.
test("connections that last for 200 ms at the called sidecar and 150 ms at the caller's: 1,500 calls, none failed, none twice", async () => {
  await inScope(async (scope) => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-callers-"));
    scope.onEnd(() => rm(folder, { recursive: true, force: true }));
    const tally = new Tally(folder);
    const app = await tally.start("app", { delay: 1 });
    scope.onEnd(async () => void (await app.process.kill()));
    const connections = { inbound: { maxAge: "200ms", maxRequests: 400 } };
    const log = { access: "errors" };
    const called = await scope.sidecar({ service: { name: "up", address: app.address }, connections, log });
    const endpoints = [called.inbound];
    // One whose connections the caller's sidecar ends first, however fast the machine is, and one where only the called one does.
    const up = { discovery: "static", endpoints, connections: { maxAge: "150ms", maxRequests: 100 } };
    const upstreams = { up, other: { discovery: "static", endpoints } };
    const calling = await scope.sidecar({ upstreams, log });
    for (const name of Object.keys(upstreams)) {
      const caller = new CountingCaller(name, calling.outbound, name);
      scope.onEnd(() => caller.close());
      await caller.make(750, 10);
      assert.deepEqual(caller.failed, []);
    }
    const executions = await tally.executions();
    assert.equal(executions.size, 1500);
    assert.deepEqual(
      [...executions].filter(([, times]) => times !== 1),
      [],
    );
    const families = await calling.metrics();
    const retired = (limit: string): number =>
      sampleValue(families, "outrigger_endpoint_connections_retired_total", { upstream: "up", limit }) ?? 0;
    assert.ok(retired("maxAge") + retired("maxRequests") >= 3);
    const ended = (await asked(called, "inbound", "maxAge")) ?? 0;
    const spent = (await asked(called, "inbound", "maxRequests")) ?? 0;
    assert.ok(ended + spent >= 1, `${ended} and ${spent} were asked to go`);
  });
});

test("after as many calls as it may carry a connection ends by two GOAWAYs, and what comes between them is a call", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope, {
      caller: { pong: false },
      more: { connections: { inbound: { maxRequests: 2 } } },
    });
    const streams = [caller.request(callHead("up"), true), caller.request(callHead("up"), true)];
    const upstream = await server.peer();
    const first = await caller.next("goaway");
    assert.deepEqual([first.last, first.code], [HIGHEST, 0]);
    assert.equal(first.debug, "the connection has carried 2 calls (maxRequests)");
    const ping = await caller.next("ping");
    // It could not know yet.
    streams.push(caller.request(callHead("up"), true));
    for (const _ of streams) {
      const request = await upstream.nextRequest();
      upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    }
    for (const stream of streams) assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    caller.pong(ping.payload);
    const last = await caller.next("goaway");
    assert.deepEqual([last.last, last.code], [streams[2], 0]);
    await caller.next("closed");
    assert.equal(await asked(sidecar, "inbound", "maxRequests"), 1);
  });
});

test("an old connection keeps its calls for the grace, then they end with REBALANCE", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope, {
      more: { connections: { inbound: { maxAge: "10m", grace: "1m" } } },
    });
    await greeted(caller);
    const stream = caller.request(callHead("up"), false);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    upstream.data(request.stream, message("one"));
    await caller.next("data", stream);
    sidecar.clock.jump(11 * 60_000);
    const goaway = await caller.next("goaway");
    assert.match(goaway.debug, /^the connection has been open for about 600000 ms/);
    // It goes on meanwhile.
    upstream.data(request.stream, message("two"));
    await caller.next("data", stream);
    sidecar.clock.jump(59_000);
    upstream.data(request.stream, message("three"));
    await caller.next("data", stream);
    sidecar.clock.jump(2000);
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.trailers ?? answer.head, "outrigger-reason"), "REBALANCE");
    await caller.next("closed");
    assert.equal((await upstream.next("reset", request.stream)).code, 8);
    assert.equal(await asked(sidecar, "inbound", "maxAge"), 1);
  });
});

test("a connection without a call for its idle timeout is ended by GOAWAY, and one with a call is not", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, {
      more: { connections: { outbound: { idleTimeout: "1m" } } },
    });
    const idle = await connectPeer(scope, sidecar.outbound);
    await Promise.all([greeted(idle), greeted(caller)]);
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    const pass = (seconds: number): void => {
      for (let left = seconds; left > 0; left -= 15) sidecar.clock.jump(15_000);
    };
    pass(75);
    assert.equal((await idle.next("goaway")).debug, "the connection has had no call for 60000 ms (idleTimeout)");
    await idle.next("closed");
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    assert.equal(caller.received.filter(({ kind }) => kind === "goaway").length, 0);
    pass(105);
    await caller.next("goaway");
    assert.equal(await asked(sidecar, "outbound", "idleTimeout"), 2);
  });
});

test("a caller of HTTP/1.1 is asked to go by connection: close with its last answer", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => void response.end("done"));
    const connections = { inbound: { maxRequests: 2, maxAge: "1m" } };
    const service = { name: "up", address: app.address, protocol: "http1" };
    const sidecar = await scope.sidecar({ service, connections });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    scope.onEnd(() => agent.destroy());
    const ask = async (): Promise<string | undefined> => {
      const [host, port] = sidecar.inbound.split(":");
      const request = httpRequest({ host, port, agent });
      request.end();
      const [answer] = (await once(request, "response")) as [IncomingMessage];
      assert.equal(await textOf(answer), "done");
      return answer.headers.connection;
    };
    assert.deepEqual([await ask(), await ask(), await ask()], ["keep-alive", "close", "keep-alive"]);
    // Its age asks it as well; one that has nothing to do has a request on its way, maybe.
    sidecar.clock.jump(67_000);
    assert.equal(await ask(), "close");
  });
});

test("an idle timeout that a reload brings holds for a connection of HTTP/1.1 that is open", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => void response.end("done"));
    const service = { name: "up", address: app.address, protocol: "http1" };
    const sidecar = await scope.sidecar({ service });
    const caller = await connectTo(scope, sidecar.inbound);
    const kept = async (): Promise<string | undefined> => {
      caller.write("GET / HTTP/1.1\r\nhost: up\r\n\r\n");
      let answer = "";
      while (!answer.endsWith("done")) answer += String((await once(caller, "data"))[0]);
      return /keep-alive: timeout=(\d+)/i.exec(answer)?.[1];
    };
    assert.equal(await kept(), "75");
    const config = { service, connections: { inbound: { idleTimeout: "20s" } } };
    assert.equal((await sidecar.runtime.apply(offered(sidecar, config))).kind, "applied");
    // What the answer before has promised holds for the next request.
    assert.equal(await kept(), "75");
    assert.equal(await kept(), "20");
  });
});

test("of requests of HTTP/1.1 behind one another the last that may be carried is answered as well, and none after it is taken", async () => {
  await inScope(async (scope) => {
    const asked: string[] = [];
    const held: ServerResponse[] = [];
    const app = await httpServer(scope, ({ url = "" }, response) => {
      asked.push(url);
      held.push(response);
    });
    const service = { name: "up", address: app.address, protocol: "http1" };
    const sidecar = await scope.sidecar({ service, connections: { inbound: { maxRequests: 2 } } });
    const caller = await connectTo(scope, sidecar.inbound);
    caller.write(["/one", "/two", "/three"].map((path) => `GET ${path} HTTP/1.1\r\nhost: up\r\n\r\n`).join(""));
    await eventually(
      () => held.length === 2,
      () => `${asked.join(", ")} are under way`,
    );
    for (const [at, response] of held.entries()) response.end(`done ${asked[at]}`);
    const answers = String(await readAll(caller)).split("HTTP/1.1 200 OK");
    assert.deepEqual(
      answers.slice(1).map((answer) => [/connection: (\S+)/i.exec(answer)?.[1], /done (\S+)/.exec(answer)?.[1]]),
      [
        ["keep-alive", "/one"],
        ["close", "/two"],
      ],
    );
    assert.deepEqual(asked.toSorted(), ["/one", "/two"]);
  });
});

test("a request of HTTP/1.1 that is under way when the age comes has its answer, which says that it is the last", async () => {
  await inScope(async (scope) => {
    const asked = Promise.withResolvers<ServerResponse>();
    const app = await httpServer(scope, (_request, response) => asked.resolve(response));
    const service = { name: "up", address: app.address, protocol: "http1" };
    const sidecar = await scope.sidecar({ service, connections: { inbound: { maxAge: "1m" } } });
    const caller = await connectTo(scope, sidecar.inbound);
    caller.write("GET / HTTP/1.1\r\nhost: up\r\n\r\n");
    const response = await asked.promise;
    sidecar.clock.jump(67_000);
    response.end("done");
    assert.match(String(await readAll(caller)), /^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*done/is);
  });
});

test("a WebSocket on an old connection goes on for the grace, then it ends with REBALANCE", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, () => {});
    app.server.on("upgrade", echoFrames);
    const service = { name: "up", address: app.address, protocol: "http1" };
    const sidecar = await scope.sidecar({ service, connections: { inbound: { maxAge: "10m", grace: "1m" } } });
    const caller = await connectTo(scope, sidecar.inbound);
    caller.write(
      "GET / HTTP/1.1\r\nhost: up\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    assert.match(String((await once(caller, "data"))[0]), /^HTTP\/1\.1 101 /);
    sidecar.clock.jump(11 * 60_000);
    caller.write(Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from("hello")]));
    assert.match(String((await once(caller, "data"))[0]), /hello$/);
    const gone = closed(caller);
    sidecar.clock.jump(61_000);
    await gone;
    assert.equal((await sidecar.call()).reason, "REBALANCE");
  });
});

test("a connection of TCP ends after its age and its grace, and stays where there is no grace", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => void socket.pipe(socket));
    const service = { name: "up", address: app.address, protocol: "tcp" };
    const sidecar = await scope.sidecar({ service, connections: { inbound: { maxAge: "10m", grace: "1m" } } });
    const caller = await connectTo(scope, sidecar.inbound);
    caller.write("hello");
    assert.equal(String((await once(caller, "data"))[0]), "hello");
    sidecar.clock.jump(11 * 60_000);
    caller.write("again");
    assert.equal(String((await once(caller, "data"))[0]), "again");
    const gone = closed(caller);
    sidecar.clock.jump(61_000);
    await gone;
    assert.equal((await sidecar.call()).reason, "REBALANCE");
    const patient = await scope.sidecar({ service, connections: { inbound: { maxAge: "10m" } } });
    const other = await connectTo(scope, patient.inbound);
    other.write("hello");
    assert.equal(String((await once(other, "data"))[0]), "hello");
    patient.clock.jump(30 * 60_000);
    other.write("again");
    assert.equal(String((await once(other, "data"))[0]), "again");
    other.destroy();
  });
});

test("a connection over the limit is closed at once and counted, where each that is open has a call", async () => {
  await inScope(async (scope) => {
    const { caller, sidecar, server } = await outboundHop(scope, { more: { connections: { outbound: { max: 1 } } } });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    await closed((await connectTo(scope, sidecar.outbound)).end());
    assert.equal(await refused(sidecar, "outbound", "maxConnections"), 1);
    const at = { listener: "outbound" };
    const families = await sidecar.metrics();
    assert.equal(sampleValue(families, "outrigger_listener_connections", at), 1);
    assert.equal(sampleValue(families, "outrigger_listener_connections_limit", at), 1);
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    // It has none any more, and makes room.
    await (await connectPeer(scope, sidecar.outbound)).next("settings");
    await caller.next("closed");
    assert.equal(await refused(sidecar, "outbound", "maxConnections"), 1);
  });
});

test("one address may not have more than its part, and a reload changes that", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, trailersOnly(0));
    const configured = (maxPerSource: number) =>
      inboundConfig(server.address, { connections: { inbound: { maxPerSource } } });
    const sidecar = await scope.sidecar(configured(1));
    const first = await connectPeer(scope, sidecar.inbound);
    assert.equal(await call(first), "0");
    await closed((await connectTo(scope, sidecar.inbound)).end());
    assert.equal(await refused(sidecar, "inbound", "maxPerSource"), 1);
    const [, port] = sidecar.inbound.split(":");
    const elsewhere = connect({ port: Number(port), host: "127.0.0.1", localAddress: "127.0.0.2" });
    await once(elsewhere, "connect");
    scope.onEnd(() => void elsewhere.destroy());
    await eventually(
      () => sidecar.runtime.listeners.inbound?.listener.connections === 2,
      () => "another address has a part of its own",
    );
    assert.equal((await sidecar.runtime.apply(offered(sidecar, configured(2)))).kind, "applied");
    assert.equal(await call(await connectPeer(scope, sidecar.inbound)), "0");
    // What was open stays.
    assert.equal(await call(first), "0");
  });
});

test("a reload gives connections that are open an age, counted from their beginning, and people see when it is over", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope);
    const view = new RuntimeView(sidecar.runtime, { drain: () => {}, quit: () => {} }, "test");
    const shown = (): (string | null)[] =>
      view
        .connections()
        .connections.filter(({ made }) => made === "accepted")
        .map(({ retiresAt }) => retiresAt);
    await greeted(caller);
    assert.deepEqual(shown(), [null]);
    sidecar.clock.jump(20 * 60_000);
    const config = inboundConfig(server.address, { connections: { inbound: { maxAge: "30m" } } });
    assert.equal((await sidecar.runtime.apply(offered(sidecar, config))).kind, "applied");
    const [retiresAt] = shown();
    const left = Date.parse(retiresAt ?? "") - sidecar.clock.wall();
    assert.ok(left > 6 * 60_000 && left <= 13 * 60_000, `${left} ms of 30 minutes are left`);
    sidecar.clock.jump(13 * 60_000);
    assert.match((await caller.next("goaway")).debug, /^the connection has been open for about 1800000 ms \(maxAge\)$/);
    assert.deepEqual(view.connections().listeners[0]?.max, 10_000);
    await caller.next("closed");
  });
});

test("a connection of HTTP/1.1 to an upstream ends after its requests, and after its age with the request that is under way", async () => {
  await inScope(async (scope) => {
    const sockets: Socket[] = [];
    const held: ServerResponse[] = [];
    const app = await httpServer(scope, (request, response) => {
      if (!sockets.includes(request.socket)) sockets.push(request.socket);
      if (request.url === "/held") held.push(response);
      else response.end("done");
    });
    const connections = { maxRequests: 3, maxAge: "10m" };
    const up = { discovery: "static", endpoints: [app.address], protocol: "http1", listen: "127.0.0.1:0", connections };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const address = sidecar.listen("up");
    for (let request = 0; request < 4; request++) assert.equal((await ask(address)).status, 200);
    assert.equal(sockets.length, 2);
    const late = ask(address, { path: "/held" });
    await eventually(
      () => held.length === 1,
      () => "the request is under way",
    );
    assert.equal(sockets.length, 2);
    sidecar.clock.jump(11 * 60_000);
    held[0]?.end("done");
    assert.equal((await late).status, 200);
    assert.equal((await ask(address)).status, 200);
    assert.equal(sockets.length, 3);
  });
});
