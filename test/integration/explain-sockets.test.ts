import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { Explanation } from "../../src/observability/explain/explanation.ts";
import { ask, connectTo, echoFrames, httpServer, readAll, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const EXPLAIN = "outrigger-explain";
const application = { explain: { callers: ["application"] } };
const breaker = { failureRate: "50%", window: "10s", minimumRequests: 20, openFor: "5s" };
const rateLimits = [{ name: "bucket", direction: "outbound", key: ["upstream"], limit: "100/h", burst: 20 }];
const policies = { circuitBreaker: breaker, limits: { maxConcurrent: 10 } };

/** What the admin listener says of the last call. */
function lastCall({ runtime }: Sidecar): Explanation {
  const { explanations } = runtime.services;
  const [latest] = explanations.latest(1, false);
  const [found] = explanations.find(latest?.id ?? "");
  assert.ok(found !== undefined, "there is no call");
  return found;
}

const words = ({ steps }: Explanation): string[] => steps.map(({ text }) => text);

/** All that a call of gRPC shows of one that is answered, in its order; `waits`: a connection had to be made. */
function assertWhole(call: Explanation, address: string, waits: boolean): void {
  assert.deepEqual(
    call.steps.map(({ decision }) => decision),
    [
      "routes",
      "routed",
      "limit",
      "limit",
      "breaker",
      "candidates",
      "picked",
      ...(waits ? ["waits"] : []),
      "attempt",
      "answered",
      "attemptEnded",
      "ended",
    ],
  );
  const said = words(call);
  assert.ok(said.includes("circuit breaker up closed: 0 % failed, it opens at 50 %"), said.join("\n"));
  assert.ok(
    said.some((text) => /^limit bucket: \d of 20$/.test(text)),
    said.join("\n"),
  );
  assert.ok(
    said.some((text) => /^limit maxConcurrent: \d of 10$/.test(text)),
    said.join("\n"),
  );
  assert.equal(said.includes("waited for a connection"), waits);
  const endpoints = call.steps.find(({ decision }) => decision === "candidates")?.candidates;
  assert.deepEqual(endpoints, [{ name: address, verdict: "picked" }]);
  assert.deepEqual([call.status, call.endpoint, call.attempts, call.forgotten], ["OK", address, 1, false]);
  const total = Object.values(call.phases).reduce((sum: number, ms) => sum + (ms ?? Number.NaN), 0);
  assert.ok(Math.abs(total - (call.durationMs ?? 0)) < 0.01, `${total} of ${call.durationMs}`);
}

const web = (scope: Scope) => httpServer(scope, (_request, response) => response.end("ok"));

test("a request of HTTP/1.1 is explained as a call of gRPC is, from its listener to its phases", async () => {
  await inScope(async (scope) => {
    const app = await web(scope);
    const mesh = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      upstream: policies,
      outbound: { rateLimits },
    });
    await ask(mesh.address, { path: "/orders", headers: { traceparent: `00-${"4b".repeat(16)}-00f067aa0ba902b7-01` } });
    await mesh.outbound.call();
    const call = lastCall(mesh.outbound);
    assertWhole(call, mesh.inbound.inbound, true);
    assert.deepEqual([call.path, call.traceId], ["/orders", "4b".repeat(16)]);
    assert.equal(call.steps[0]?.text, "the route is fixed: the listener up has of its own");
    await ask(mesh.address);
    await mesh.outbound.call(1);
    assertWhole(lastCall(mesh.outbound), mesh.inbound.inbound, false);
    assert.equal(lastCall(mesh.inbound).steps[0]?.text, "the route is fixed: inbound calls go to the application");
  });
});

test("a connection of TCP is explained as a call of gRPC is", async () => {
  await inScope(async (scope) => {
    const app = await tcpServer(scope, (socket) => void socket.pipe(socket));
    const mesh = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      upstream: policies,
      outbound: { rateLimits },
    });
    const socket = await connectTo(scope, mesh.address);
    socket.end("a");
    await readAll(socket);
    await mesh.outbound.call();
    assertWhole(lastCall(mesh.outbound), mesh.inbound.inbound, true);
  });
});

test("an instance that cannot be reached is said with its why, for HTTP/1.1 and TCP", async () => {
  await inScope(async (scope) => {
    for (const protocol of ["http1", "tcp"] as const) {
      const app = protocol === "http1" ? await web(scope) : await tcpServer(scope, (socket) => void socket.end("ok"));
      const { address: gone, server } = await tcpServer(scope, () => {});
      server.close();
      await once(server, "close");
      const mesh = await socketMesh(scope, {
        protocol,
        applications: [app.address],
        upstream: { endpoints: [app.address, gone] },
      });
      let seen: string[] = [];
      // Which one is picked first is chance; the other one may serve some calls before.
      await eventually(
        async () => {
          if (protocol === "http1") await ask(mesh.address);
          else await readAll(await connectTo(scope, mesh.address));
          const { steps, status } = lastCall(mesh.outbound);
          assert.ok(status === "OK" || status === null, status ?? "");
          seen = steps.flatMap(({ candidates = [] }) => candidates.map(({ name, verdict }) => `${name}: ${verdict}`));
          return seen.some((verdict) => verdict.startsWith(`${gone}: not eligible: cannot connect to ${gone}`));
        },
        () => seen.join("\n"),
      );
    }
  });
});

test("an open breaker is said of HTTP/1.1 with the share of failures, and where the call went instead", async () => {
  await inScope(async (scope) => {
    const broken = await httpServer(scope, (_request, response) => void response.writeHead(503).end());
    const other = await web(scope);
    const mesh = await socketMesh(scope, {
      protocol: "http1",
      applications: [broken.address],
      outbound: {
        upstreams: {
          up: {
            protocol: "http1",
            discovery: "static",
            endpoints: [broken.address],
            listen: "127.0.0.1:0",
            circuitBreaker: { ...breaker, minimumRequests: 2, fallback: { upstream: "spare" } },
          },
          spare: { protocol: "http1", discovery: "static", endpoints: [other.address] },
        },
      },
    });
    await eventually(
      async () => (await ask(mesh.address)).status === 200,
      () => "the breaker to open",
    );
    const said = words(lastCall(mesh.outbound));
    assert.ok(
      said.some((text) => /^circuit breaker up open: \d+ % failed, it opens at 50 %$/.test(text)),
      said.join("\n"),
    );
    assert.ok(said.includes("the call is for spare, the fallback of up"), said.join("\n"));
  });
});

test("a caller of HTTP/1.1 that takes trailers reads the explanation there, others in the head of the answer", async () => {
  await inScope(async (scope) => {
    const seen: (string | undefined)[] = [];
    const app = await httpServer(scope, ({ headers, method }, response) => {
      seen.push(headers[EXPLAIN]?.toString());
      response.writeHead(200, { "content-length": 2 });
      response.end(method === "HEAD" ? "" : "ok");
    });
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address], outbound: application });
    const asking = { [EXPLAIN]: "1" };

    const plain = await ask(mesh.address, { headers: asking });
    assert.deepEqual([plain.body, plain.headers["content-length"], plain.trailers], ["ok", "2", {}]);
    const read: Explanation = JSON.parse(String(plain.headers[EXPLAIN]));
    assert.ok(read.steps.some(({ decision }) => decision === "answered"));

    const trailing = await ask(mesh.address, { headers: { ...asking, te: "trailers", connection: "te" } });
    assert.deepEqual([trailing.body, trailing.headers[EXPLAIN], trailing.headers.trailer], ["ok", undefined, EXPLAIN]);
    const late: Explanation = JSON.parse(trailing.trailers[EXPLAIN] ?? "null");
    assert.equal(late.upstream, "up");

    const head = await ask(mesh.address, {
      method: "HEAD",
      headers: { ...asking, te: "trailers", connection: "te" },
    });
    assert.notEqual(head.headers[EXPLAIN], undefined, "an answer to HEAD has no trailers");
    assert.deepEqual((await ask(mesh.address)).headers[EXPLAIN], undefined);
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined], "the application does not see it");
  });
});

test("a refused request of HTTP/1.1 is explained in its answer, and to no stranger", async () => {
  await inScope(async (scope) => {
    const app = await web(scope);
    const faults = [{ name: "down", match: { upstream: "up" }, abort: "unavailable" }];
    const options = { protocol: "http1", applications: [app.address] } as const;
    const mesh = await socketMesh(scope, { ...options, outbound: { ...application, faults } });
    const refused = await ask(mesh.address, { headers: { [EXPLAIN]: "1" } });
    assert.equal(refused.status, 503);
    const read: Explanation = JSON.parse(String(refused.headers[EXPLAIN]));
    assert.ok(words(read).includes("refused by faults"), words(read).join("\n"));

    const closed = await socketMesh(scope, { ...options, outbound: { faults } });
    assert.equal((await ask(closed.address, { headers: { [EXPLAIN]: "1" } })).headers[EXPLAIN], undefined);
  });
});

test("the sidecar behind that is asked as well, by HTTP/1.1 with mTLS, and says its part under next", async () => {
  await inScope(async (scope) => {
    const app = await web(scope);
    const mesh = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      mode: "strict",
      inbound: { explain: { callers: ["spiffe://*/ns/default/dc/*/svc/caller"] } },
      outbound: application,
    });
    // The second one goes over the connection of the first.
    for (let round = 0; round < 2; round++) {
      const { headers } = await ask(mesh.address, { headers: { [EXPLAIN]: "1" } });
      const read: { readonly next?: Explanation } = JSON.parse(String(headers[EXPLAIN]));
      assert.equal(read.next?.direction, "inbound", String(headers[EXPLAIN]));
    }
  });
});

test("a WebSocket is explained in the answer that opens it", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, () => {});
    app.server.on("upgrade", (request, socket) => {
      echoFrames(request, socket);
      socket.once("end", () => socket.end());
    });
    const mesh = await socketMesh(scope, { protocol: "http1", applications: [app.address], outbound: application });
    const socket = await connectTo(scope, mesh.address);
    socket.write(
      `GET /ws HTTP/1.1\r\nhost: up\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${EXPLAIN}: 1\r\n\r\n`,
    );
    let heard = "";
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
    await eventually(
      () => heard.includes("\r\n\r\n"),
      () => heard,
    );
    assert.match(heard, /^HTTP\/1\.1 101 /);
    const text = /^outrigger-explain: (.*)\r$/m.exec(heard)?.[1];
    const read: Explanation = JSON.parse(text ?? "null");
    assert.ok(words(read).some((said) => said.startsWith("attempt 1 left for")));
    socket.destroy();
  });
});
