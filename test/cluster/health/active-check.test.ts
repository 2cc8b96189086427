import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import type { CheckSettings } from "../../../src/cluster/health/check.ts";
import type { Stream } from "../../../src/http2/stream.ts";
import { settled } from "../../support/clock.ts";
import { eventually } from "../../support/with-proxy.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "../cluster-harness.ts";
import { spec } from "../endpoints.ts";

const grpc: CheckSettings = {
  kind: "grpc",
  service: "",
  path: "/",
  port: undefined,
  interval: 5000,
  timeout: 1000,
  jitter: 0,
  unhealthyAfter: 3,
  healthyAfter: 2,
};

function harness(more: Partial<CheckSettings> = {}): ClusterHarness {
  const on = new ClusterHarness({ policy: { ...inTurn, healthCheck: { ...grpc, ...more } } }, spec(1), spec(2));
  on.on(2).respond = (stream) => health(on, stream, 1);
  return on;
}

/** Answers a check by grpc.health.v1. */
function health(on: ClusterHarness, stream: Stream, status: number): void {
  const { headers } = on.on(1).services;
  stream.sendHead(
    headers.head([
      [":status", "200"],
      ["content-type", "application/grpc"],
    ]),
    false,
  );
  stream.sendData(Buffer.from([0, 0, 0, 0, 2, 8, status]), 0, 7, false);
  stream.sendTrailers(headers.head([["grpc-status", "0"]]));
}

/** So many intervals, each answer having the turns of the event loop that it takes before time goes on. */
async function rounds(on: ClusterHarness, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await on.clock.pass(5000);
    await settled(40);
  }
}

const states = (on: ClusterHarness): string =>
  on.cluster
    .stats()
    .map(({ state }) => state)
    .join(" ");

test("the first check decides by itself, then so many in a row", async () => {
  const on = harness();
  let status = 2;
  on.on(1).respond = (stream) => health(on, stream, status);
  assert.equal(states(on), "up up", "what was not asked yet gets calls");
  await on.clock.pass(100);
  assert.equal(states(on), "unhealthy up");
  assert.equal(on.picks(3), "2 2 2");
  assert.equal(on.cluster.stats()[0]?.unhealthy?.detail, "its health is NOT_SERVING");
  status = 1;
  await on.clock.pass(5000);
  assert.equal(states(on), "unhealthy up", "once is not enough");
  await on.clock.pass(5000);
  assert.equal(states(on), "up up");
  status = 2;
  await rounds(on, 2);
  assert.equal(states(on), "up up", "two failures are not enough");
  await on.clock.pass(5000);
  assert.equal(states(on), "unhealthy up");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("a server that says nothing in time fails its check", async () => {
  const on = harness();
  on.on(1).respond = () => {};
  await on.clock.pass(100);
  // The other one's connection and answer take some turns of the event loop.
  await settled(40);
  await on.clock.pass(1000);
  assert.equal(states(on), "unhealthy up");
  assert.equal(on.cluster.stats()[0]?.unhealthy?.detail, "no answer to a health check within 1000 ms");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("checks by HTTP go by the status, over the connections of calls", async () => {
  const on = harness({ kind: "http", path: "/healthz" });
  const seen: string[] = [];
  let status = "503";
  for (const port of [1, 2]) {
    const server = on.on(port);
    server.respond = (stream, head) => {
      seen.push(`${head.get(":method")} ${head.get(":path")}`);
      stream.sendHead(server.services.headers.head([[":status", port === 1 ? status : "204"]]), true);
    };
  }
  await on.clock.pass(100);
  assert.equal(states(on), "unhealthy up");
  assert.equal(on.cluster.stats()[0]?.unhealthy?.detail, "GET /healthz was answered with 503");
  assert.equal(seen[0], "GET /healthz");
  status = "200";
  await rounds(on, 2);
  assert.equal(states(on), "up up");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("an endpoint that refuses connections is not asked, and not ill once it takes them again", async () => {
  const on = harness();
  on.on(1).respond = (stream) => health(on, stream, 1);
  await on.clock.pass(100);
  on.on(1).mode = "refuse";
  for (const { transport } of on.on(1).standing) transport.destroy();
  await on.clock.pass(60_000);
  assert.equal(states(on), "unreachable up");
  on.on(1).mode = "accept";
  await rounds(on, 4);
  assert.equal(states(on), "up up");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("other settings of the checks keep what they found; none forget it", async () => {
  const on = harness();
  on.on(1).respond = (stream) => health(on, stream, 2);
  await on.clock.pass(100);
  on.cluster.usePolicy({ ...inTurn, healthCheck: { ...grpc, interval: 1000 } });
  assert.equal(states(on), "unhealthy up");
  on.cluster.usePolicy(inTurn);
  assert.equal(states(on), "up up");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("intervals differ by the jitter, so that sidecars do not ask in step", async () => {
  const on = harness({ jitter: 0.5 });
  let asked = 0;
  on.on(1).respond = (stream) => {
    asked++;
    health(on, stream, 1);
  };
  on.chance = 0.5;
  await on.clock.pass(100);
  on.chance = 1;
  await on.clock.pass(5000);
  assert.equal(asked, 2);
  await on.clock.pass(7300);
  assert.equal(asked, 2);
  await on.clock.pass(200);
  assert.equal(asked, 3, "7.5 s later");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

/** The port that an HTTP/1.1 server listens on. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

test("a port of its own is spoken to in HTTP/1.1, or only knocked at", async (t) => {
  let status = 200;
  const server = createServer((_request, response) => response.writeHead(status).end("never mind"));
  const port = await listen(server);
  t.after(() => server.close());
  const on = harness({ kind: "http", path: "/ready", port });
  const run = async (what: string): Promise<void> => {
    await on.clock.pass(5000);
    await eventually(
      () => states(on) === what,
      () => `${states(on)} for ${what}`,
    );
  };
  await run("up up");
  status = 500;
  for (let n = 0; n < 3; n++) {
    await on.clock.pass(5000);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await run("unhealthy unhealthy");
  assert.equal(on.cluster.panic, true, "nobody is left, and health is ignored");
  assert.ok(on.pick() !== undefined);
  assert.match(on.cluster.stats()[0]?.unhealthy?.detail ?? "", /^GET \/ready was answered with 500$/);
  on.cluster.terminate("over");

  const knocking = harness({ kind: "tcp", port });
  await knocking.clock.pass(1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(states(knocking), "up up");
  knocking.cluster.terminate("over");
});
