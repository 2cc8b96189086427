import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { test } from "node:test";
import { ask, echoFrames, httpServer, type Mode, socketMesh, tcpServer, textOf } from "../support/socket-mesh.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const MODES: readonly Mode[] = ["disabled", "strict"];

for (const mode of MODES) {
  test(`requests pass through two sidecars with their fields, bodies and trailers (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await httpServer(scope, (request, response) => {
        void textOf(request).then((body) => {
          response.writeHead(201, "Made", { "x-app": "1", "set-cookie": ["a=1", "b=2"], trailer: "x-sum" });
          response.write(
            JSON.stringify({
              url: request.url,
              method: request.method,
              headers: request.headers,
              body,
              trailers: request.trailers,
            }),
          );
          response.addTrailers({ "x-sum": "7" });
          response.end();
        });
      });
      const { address, inbound, outbound } = await socketMesh(scope, {
        protocol: "http1",
        applications: [app.address],
        mode,
      });
      const [host, port] = address.split(":");
      const request = httpRequest({
        host,
        port,
        agent: false,
        method: "POST",
        path: "/orders?x=1",
        headers: {
          host: "up",
          "x-own": "a",
          connection: "x-hop",
          "x-hop": "gone",
          "outrigger-reason": "FORGED",
          trailer: "x-end",
        },
      });
      request.write("some ");
      request.addTrailers({ "x-end": "9" });
      request.end("body");
      const [message] = (await once(request, "response")) as [IncomingMessage];
      const told = JSON.parse(await textOf(message));
      assert.equal(message.statusCode, 201);
      assert.equal(message.statusMessage, "Made");
      assert.deepEqual(message.headers["set-cookie"], ["a=1", "b=2"]);
      assert.equal(message.trailers["x-sum"], "7");
      assert.equal(told.url, "/orders?x=1");
      assert.equal(told.method, "POST");
      assert.equal(told.body, "some body");
      assert.equal(told.headers.host, "up");
      assert.equal(told.headers["x-own"], "a");
      assert.equal(told.headers["x-hop"], undefined);
      assert.equal(told.headers["outrigger-reason"], undefined);
      assert.equal(told.headers.forwarded, undefined);
      assert.match(told.headers.via, /^1\.1 (outrigger-[0-9a-f]{12}), 1\.1 \1$/);
      assert.equal(told.trailers["x-end"], "9");
      if (mode === "strict") assert.match(told.headers["x-forwarded-client-cert"], /URI=spiffe:/);
      for (const sidecar of [inbound, outbound]) {
        const line = await sidecar.call();
        assert.equal(line.grpc_status, "OK");
        assert.equal(line.method, "orders");
        assert.equal(line.bytes_received, 9);
      }
      const labels = { upstream: "up", method: "HTTP/POST", grpc_status: "OK", reason: "", origin: "app" };
      assert.equal(await outbound.handled({ direction: "outbound", ...labels }), 1);
      assert.equal(await inbound.handled({ direction: "inbound", ...labels }), 1);
    });
  });

  test(`a connection is kept between requests on every hop (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await httpServer(scope, (_request, response) => response.end("ok"));
      let connections = 0;
      app.server.on("connection", () => connections++);
      const { address, inbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      scope.onEnd(() => agent.destroy());
      for (let at = 0; at < 20; at++) assert.equal((await ask(address, { agent })).body, "ok");
      assert.equal(connections, 1);
      assert.equal(inbound.runtime.listeners.inbound?.side.connectionCount, 1);
    });
  });

  test(`WebSocket: messages go both ways for as long as both want (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await httpServer(scope, (_request, response) => response.end());
      app.server.on("upgrade", (request, socket) => echoFrames(request, socket));
      const { address, inbound, outbound } = await socketMesh(scope, {
        protocol: "http1",
        applications: [app.address],
        mode,
      });
      const socket = new WebSocket(`ws://${address}/chat`);
      await once(socket, "open");
      for (const text of ["one", "two", "x".repeat(100)]) {
        socket.send(text);
        const [event] = await once(socket, "message");
        assert.equal(event.data, text);
      }
      socket.close();
      await once(socket, "close");
      const line = await outbound.call();
      assert.equal(line.grpc_status, "OK");
      assert.equal((await inbound.call()).grpc_status, "OK");
      assert.ok(Number(line.bytes_received) > 100);
    });
  });
}

test("the application calls by Host at the outbound listener, beside HTTP/2", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => response.end(`for ${request.headers.host}`));
    const sidecar = await scope.sidecar({
      upstreams: {
        web: { protocol: "http1", discovery: "static", endpoints: [app.address], hosts: ["web.internal"] },
        grpc: { discovery: "static", endpoints: ["127.0.0.1:1"] },
      },
    });
    assert.equal((await ask(sidecar.outbound, { headers: { host: "web" } })).body, "for web");
    assert.equal((await ask(sidecar.outbound, { headers: { host: "WEB.internal:80" } })).body, "for WEB.internal:80");
    const unknown = await ask(sidecar.outbound, { headers: { host: "nobody" } });
    assert.equal(unknown.status, 404);
    assert.equal(unknown.headers["outrigger-reason"], "NO_ROUTE");
    assert.match(String(unknown.headers["outrigger-source"]), /\/outbound$/);
    assert.match(unknown.body, /^NO_ROUTE: /);
    const other = await ask(sidecar.outbound, { headers: { host: "grpc" } });
    assert.equal(other.status, 502);
    assert.equal(other.headers["outrigger-reason"], "PROTOCOL");
  });
});

test("bodies of GET, DELETE and OPTIONS arrive as they were framed, and the next request is not read out of them", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      void textOf(request).then((body) => response.end(`${request.method} ${request.url} ${body}`));
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    scope.onEnd(() => agent.destroy());
    for (const method of ["GET", "DELETE", "OPTIONS"]) {
      for (const framing of [{ "transfer-encoding": "chunked" }, { "content-length": 31 }] as const) {
        const smuggled = "GET /smuggled HTTP/1.1\r\nhost: a";
        const answer = await ask(address, { agent, method, headers: framing }, smuggled);
        assert.equal(answer.body, `${method} / ${smuggled}`);
        assert.equal((await ask(address, { agent, path: "/next" })).body, "GET /next ");
      }
    }
  });
});

test("Expect: 100-continue asks the application, and informational answers reach the caller", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      void textOf(request).then((body) => response.end(body));
    });
    app.server.on("checkContinue", (request, response) => {
      if (request.url === "/no") {
        response.writeHead(417).end("no");
        return;
      }
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.writeContinue();
      app.server.emit("request", request, response);
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const [host, port] = address.split(":");
    const request = httpRequest({
      host,
      port,
      agent: false,
      method: "POST",
      headers: { expect: "100-continue", "content-length": 4 },
    });
    const hints: unknown[] = [];
    request.on("information", (info) => hints.push(info.statusCode));
    request.flushHeaders();
    await once(request, "continue");
    request.end("body");
    const [message] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await textOf(message), "body");
    assert.deepEqual(hints, [103, 100]);
    const refused = httpRequest({
      host,
      port,
      path: "/no",
      agent: false,
      method: "POST",
      headers: { expect: "100-continue", "content-length": 4 },
    });
    refused.flushHeaders();
    const [no] = (await once(refused, "response")) as [IncomingMessage];
    assert.equal(no.statusCode, 417);
    refused.destroy();
  });
});

test("large bodies pass both ways under backpressure", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => request.pipe(response));
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode: "strict" });
    const [host, port] = address.split(":");
    const size = 32 * 1024 * 1024;
    const request = httpRequest({ host, port, agent: false, method: "PUT", headers: { "content-length": size } });
    request.end(Buffer.alloc(size, 3));
    const [message] = (await once(request, "response")) as [IncomingMessage];
    let read = 0;
    for await (const chunk of message) read += (chunk as Buffer).length;
    assert.equal(read, size);
  });
});

test("an answer that is cut is cut for the caller as well", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => {
      response.write("half");
      setTimeout(() => response.socket?.destroy(), 50);
    });
    const { address, outbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    await assert.rejects(ask(address), { code: "ECONNRESET" });
    assert.equal((await outbound.call()).reason, "UPSTREAM_LOST");
  });
});

test("a request whose kept connection has just ended is made again where its method allows that", async () => {
  await inScope(async (scope) => {
    let answered = 0;
    const app = await httpServer(scope, (request, response) => {
      // Every second request finds its connection ended as it leaves.
      if (answered++ % 2 === 1 && request.headers["x-again"] === "1") request.socket.destroy();
      else response.end("ok");
    });
    const { address, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      mode: "strict",
    });
    const headers = { "x-again": "1" };
    assert.equal((await ask(address, { headers })).body, "ok");
    const second = await ask(address, { headers });
    assert.equal(second.body, "ok");
    await eventually(
      () => outbound.calls.length === 2,
      () => "two calls",
    );
    const post = await ask(address, { headers, method: "POST" });
    assert.equal(post.status, 503);
    assert.equal(post.headers["outrigger-reason"], "UPSTREAM_LOST");
  });
});

test("policies refuse with the status of HTTP, the reason and its source", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, () => {});
    const { address, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      upstream: { timeout: "5s", limits: { maxConcurrent: 1 } },
    });
    const first = ask(address);
    await eventually(
      () => (outbound.runtime.listeners.outbound[1]?.side.activeCalls ?? 0) === 1,
      () => "a call is under way",
    );
    const second = await ask(address);
    assert.equal(second.status, 429);
    assert.equal(second.headers["outrigger-reason"], "CONCURRENCY");
    assert.equal(second.headers["retry-after"], "1");
    outbound.clock.jump(6000);
    const late = await first;
    assert.equal(late.status, 504);
    assert.equal(late.headers["outrigger-reason"], "DEADLINE_POLICY");
  });
});

test("the application's sidecar refuses by identity, and another instance is asked where a refusal proves that nothing has run", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end("ok"));
    const { address, inbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      mode: "strict",
      inbound: {
        authorization: { default: "deny", allow: [{ name: "reading", services: ["caller"], methods: ["public/*"] }] },
      },
    });
    assert.equal((await ask(address, { path: "/public/a" })).body, "ok");
    const denied = await ask(address, { path: "/private" });
    assert.equal(denied.status, 403);
    assert.equal(denied.headers["outrigger-reason"], "AUTHZ_DENIED");
    assert.match(String(denied.headers["outrigger-source"]), /^up\/inbound$/);
    assert.equal((await inbound.call(1)).reason, "AUTHZ_DENIED");
  });
});

test("a drain lets requests finish, tells their callers to go, and ends a WebSocket when grace is over", async () => {
  await inScope(async (scope) => {
    let answer = (): void => {};
    const app = await httpServer(scope, (_request, response) => {
      answer = () => void response.end("in the end");
    });
    app.server.on("upgrade", (request, socket) => echoFrames(request, socket));
    const { address, inbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      inbound: { drain: { notice: "0s", grace: "1s" } },
    });
    const socket = new WebSocket(`ws://${inbound.inbound}/`);
    await once(socket, "open");
    const pending = ask(address);
    await eventually(
      () => (inbound.runtime.listeners.inbound?.side.activeCalls ?? 0) === 2,
      () => "two calls are under way",
    );
    const drained = inbound.runtime.drain();
    await eventually(
      () => inbound.lines.some(({ msg }) => String(msg).startsWith("callers are asked to go")),
      () => "the drain has begun",
    );
    answer();
    assert.equal((await pending).body, "in the end");
    const ended = once(socket, "close");
    assert.equal(await drained, 1);
    await ended;
  });
});

test("an application on a unix socket is reached, and so is a listener on one", async () => {
  await inScope(async (scope) => {
    const { mkdtemp, rm } = process.getBuiltinModule("node:fs/promises");
    const folder = await mkdtemp("/tmp/outrigger-unix-");
    scope.onEnd(() => rm(folder, { recursive: true, force: true }));
    const app = await httpServer(scope, (_request, response) => response.end("over unix"), `${folder}/app`);
    await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      upstream: { listen: `unix:${folder}/up` },
    });
    const request = httpRequest({ socketPath: `${folder}/up`, agent: false });
    request.end();
    const [message] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await textOf(message), "over unix");
  });
});

test("a request that comes back to its sidecar is refused as a loop", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      // An application that passes on what it gets, by its own sidecar.
      const back = httpRequest({
        host: "127.0.0.1",
        port: address.split(":")[1],
        agent: false,
        headers: { via: request.headers.via, host: "up" },
      });
      back.on("response", (message) => {
        response.writeHead(message.statusCode ?? 500, message.headers);
        message.pipe(response);
      });
      back.end();
    });
    let address = "";
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    address = mesh.address;
    const answer = await ask(address);
    assert.equal(answer.status, 502);
    assert.match(answer.body, /^LOOP: /);
  });
});

test("an instance whose application is gone hands its requests to another, where sidecars know each other", async () => {
  await inScope(async (scope) => {
    const gone = await httpServer(scope, () => {});
    gone.server.close();
    const app = await httpServer(scope, (_request, response) => response.end("ok"));
    const { address, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [gone.address, app.address],
      mode: "strict",
      upstream: { balancer: "roundRobin", outlierDetection: { mode: "disabled" } },
    });
    for (let at = 0; at < 4; at++) assert.equal((await ask(address)).body, "ok");
    await eventually(
      () => outbound.calls.length === 4,
      () => "four calls",
    );
    assert.ok(outbound.calls.some(({ attempts }) => Number(attempts) > 1));
  });
});

test("the circuit breaker of an upstream opens by answers of 5xx, and its instance goes out", async () => {
  await inScope(async (scope) => {
    let asked = 0;
    const app = await httpServer(scope, (_request, response) => {
      asked++;
      response.writeHead(503).end();
    });
    const { address } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      upstream: { circuitBreaker: { failureRate: "50%", window: "10s", minimumRequests: 5, openFor: "5s" } },
    });
    const seen: unknown[] = [];
    await eventually(
      async () => {
        const { status, headers } = await ask(address);
        assert.equal(status, 503);
        seen.push(headers["outrigger-reason"]);
        return seen.at(-1) === "CIRCUIT_OPEN";
      },
      () => `the breaker opens: ${seen.join()}`,
    );
    const before = asked;
    await ask(address);
    assert.equal(asked, before);
  });
});

test("an answer that announces trailers and can have none goes on without the announcement", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => {
      socket.once("data", (asked: Buffer) => {
        const isHead = asked.toString("latin1").startsWith("HEAD ");
        const framing = isHead ? "transfer-encoding: chunked" : "content-length: 2";
        socket.end(`HTTP/1.1 200 OK\r\ntrailer: x-sum\r\n${framing}\r\nconnection: close\r\n\r\n${isHead ? "" : "ok"}`);
      });
    });
    const upstream = { endpoints: [app.address] };
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address], upstream });
    for (const method of ["GET", "HEAD"]) {
      const { status, headers, body } = await ask(address, { method });
      assert.deepEqual([status, headers.trailer, body], [200, undefined, method === "GET" ? "ok" : ""]);
    }
  });
});
