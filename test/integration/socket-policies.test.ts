import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, ask, connectTo, httpServer, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

/** What became of a connection: the first octets of an echo, or the reason in the sidecar's log. */
async function outcomeOf(scope: Scope, address: string, sidecar: Sidecar): Promise<string> {
  const before = sidecar.calls.length;
  const socket = await connectTo(scope, address);
  socket.write("a");
  const heard = await new Promise<boolean>((resolve) => {
    socket.once("data", () => resolve(true));
    socket.once("close", () => resolve(false));
    if (socket.closed) resolve(false);
  });
  if (heard) return "echo";
  return String((await sidecar.call(before)).reason);
}

const echo = (scope: Scope) => tcpServer(scope, (socket) => void socket.pipe(socket));

test("requests of HTTP/1.1 over a rate limit are told when to come back", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end("ok"));
    const rateLimits = [{ name: "few", match: { method: "orders/*" }, key: ["metadata.x-tenant"], limit: "2/m" }];
    const { address, inbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      mode: "strict",
      inbound: { rateLimits },
    });
    const order = (tenant: string): Promise<Answer> =>
      ask(address, { path: "/orders/1", headers: { "x-tenant": tenant } });
    assert.deepEqual(
      [(await order("a")).status, (await order("a")).status, (await order("b")).status],
      [200, 200, 200],
    );
    const refused = await order("a");
    assert.equal(refused.status, 429);
    assert.equal(refused.headers["outrigger-reason"], "RATE_LIMIT");
    assert.ok(Number(refused.headers["retry-after"]) >= 1, JSON.stringify(refused.headers));
    assert.equal((await ask(address, { path: "/others" })).status, 200);
    assert.equal((await inbound.call(3)).reason, "RATE_LIMIT");
  });
});

test("connections of TCP over a rate limit are refused", async () => {
  await inScope(async (scope) => {
    const app = await echo(scope);
    const rateLimits = [{ name: "few", key: ["identity"], limit: "2/m" }];
    const { address, inbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [app.address],
      mode: "strict",
      inbound: { rateLimits },
    });
    const outcomes: string[] = [];
    for (let n = 0; n < 3; n++) outcomes.push(await outcomeOf(scope, address, inbound));
    assert.deepEqual(outcomes.slice(0, 2), ["echo", "echo"]);
    assert.equal(outcomes[2], "RATE_LIMIT");
  });
});

test("faults are injected into requests of HTTP/1.1 and connections of TCP", async () => {
  await inScope(async (scope) => {
    const faults = [{ name: "down", match: { upstream: "up" }, abort: "unavailable" }];
    const web = await httpServer(scope, (_request, response) => response.end("ok"));
    const http = await socketMesh(scope, { protocol: "http1", applications: [web.address], outbound: { faults } });
    const answer = await ask(http.address);
    assert.deepEqual([answer.status, answer.headers["outrigger-reason"]], [503, "FAULT_INJECTED"]);

    const app = await echo(scope);
    const tcp = await socketMesh(scope, { protocol: "tcp", applications: [app.address], outbound: { faults } });
    assert.equal(await outcomeOf(scope, tcp.address, tcp.outbound), "FAULT_INJECTED");
  });
});

test("a trace of HTTP/1.1 goes on through both sidecars to the application", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, ({ headers }, response) => response.end(headers.traceparent));
    const tracing = { otlp: "http://127.0.0.1:1", sampling: "100%" };
    const { address, inbound, outbound } = await socketMesh(scope, {
      protocol: "http1",
      applications: [app.address],
      inbound: { tracing },
      outbound: { tracing },
    });
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const { body } = await ask(address, { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
    assert.match(body, new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
    assert.ok(!body.includes("b7ad6b7169203331"), "the application's parent is a span of its sidecar's");
    for (const sidecar of [inbound, outbound]) assert.equal((await sidecar.call()).trace_id, trace);
  });
});

test("an instance that refuses connections of TCP is out, and costs no caller a connection", async () => {
  await inScope(async (scope) => {
    const [one, other] = [await echo(scope), await echo(scope)];
    const { address, outbound } = await socketMesh(scope, {
      protocol: "tcp",
      applications: [one.address],
      upstream: { balancer: "roundRobin", endpoints: [one.address, other.address] },
    });
    const cluster = [...outbound.runtime.upstreams.clusters()].find(({ name }) => name === "up");
    const usable = (): number => cluster?.stats().filter(({ state }) => state === "up").length ?? 0;
    await eventually(
      () => usable() === 2,
      () => JSON.stringify(cluster?.stats()),
    );
    other.server.close();
    for (let n = 0; n < 6; n++) assert.equal(await outcomeOf(scope, address, outbound), "echo");
    assert.equal(usable(), 1, JSON.stringify(cluster?.stats()));
  });
});
