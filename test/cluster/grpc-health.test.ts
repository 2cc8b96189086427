import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";
import { checkHealth } from "../../src/cluster/grpc-health.ts";
import { plainConnect } from "../../src/cluster/pool/connect.ts";
import { ConnectionPool } from "../../src/cluster/pool/connection-pool.ts";
import { defaultPoolOptions } from "../../src/cluster/pool/pool-options.ts";
import { systemClock } from "../../src/core/clock.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { settled } from "../support/clock.ts";
import { poolServices } from "./endpoints.ts";
import { NOTHING_LEFT, PoolHarness } from "./pool/harness.ts";

type Fields = readonly (readonly [name: string, value: string])[];

const GRPC: Fields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** Answers with a head, perhaps octets, and trailers. */
function answer(harness: PoolHarness, stream: Stream, octets: readonly number[], trailers: Fields, head = GRPC): void {
  const { headers } = harness.server.services;
  stream.sendHead(headers.head(head), false);
  stream.sendData(Buffer.from(octets), 0, octets.length, false);
  stream.sendTrailers(headers.head(trailers));
}

/** Asks a server in memory that answers so. */
async function askedOf(respond: (harness: PoolHarness, stream: Stream) => void, service = ""): Promise<unknown> {
  const harness = new PoolHarness();
  harness.server.respond = (stream) => respond(harness, stream);
  const found = checkHealth(harness.pool, service, 3000, harness.server.services);
  await settled();
  await harness.clock.pass(3000);
  const result = await found;
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  return result;
}

test("a health check is a gRPC call with its timeout, and takes the answer that it gets", async () => {
  const harness = new PoolHarness();
  const seen: string[] = [];
  harness.server.respond = (stream, head) => {
    seen.push(...[...head.entries()].map(([name, value]) => `${name}: ${value}`));
    answer(harness, stream, [0, 0, 0, 0, 2, 8, 1], [["grpc-status", "0"]]);
  };
  const found = checkHealth(harness.pool, "a.B", 3000, harness.server.services);
  await settled();
  assert.equal(await found, "SERVING");
  assert.deepEqual(seen.slice(0, 6), [
    ":method: POST",
    ":scheme: http",
    ":path: /grpc.health.v1.Health/Check",
    ":authority: localhost",
    "te: trailers",
    "content-type: application/grpc",
  ]);
  assert.match(seen[6] ?? "", /^user-agent: outrigger\/\d/);
  assert.equal(seen[7], "grpc-timeout: 3000000u");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("what the application answers is told apart", async () => {
  const ok: Fields = [["grpc-status", "0"]];
  assert.equal(await askedOf((harness, stream) => answer(harness, stream, [0, 0, 0, 0, 2, 8, 2], ok)), "NOT_SERVING");
  assert.equal(
    await askedOf((harness, stream) => {
      const trailersOnly = [...GRPC, ["grpc-status", "12"]] as const;
      stream.sendHead(harness.server.services.headers.head(trailersOnly), true);
    }),
    "UNIMPLEMENTED",
  );
  assert.equal(
    await askedOf((harness, stream) => answer(harness, stream, [], [["grpc-status", "5"]])),
    "SERVICE_UNKNOWN",
  );
  const failed: Fields = [
    ["grpc-status", "13"],
    ["grpc-message", "no database"],
  ];
  assert.deepEqual(await askedOf((harness, stream) => answer(harness, stream, [], failed)), {
    error: "a health check failed with INTERNAL: no database",
  });
});

test("what is no answer is told apart", async () => {
  const ok: Fields = [["grpc-status", "0"]];
  const cases: [respond: Parameters<typeof askedOf>[0], error: RegExp][] = [
    [(harness, stream) => answer(harness, stream, [1, 2, 3], ok), /^the answer to a health check is malformed$/],
    [
      (harness, stream) =>
        answer(
          harness,
          stream,
          Array.from({ length: 2000 }, () => 0),
          ok,
        ),
      /is too long$/,
    ],
    [
      (harness, stream) => {
        stream.sendHead(harness.server.services.headers.head(GRPC), false);
        stream.sendData(Buffer.alloc(5), 0, 5, true);
      },
      /has no grpc-status$/,
    ],
    [
      (harness, stream) => {
        const html: Fields = [
          [":status", "404"],
          ["content-type", "text/html"],
        ];
        stream.sendHead(harness.server.services.headers.head(html), true);
      },
      /^a health check was answered with HTTP 404 and text\/html: no gRPC server$/,
    ],
    [(_harness, stream) => stream.reset(ErrorCode.INTERNAL_ERROR), /^a health check ended early: .* INTERNAL_ERROR$/],
    [(harness) => harness.server.accepted[0]?.transport.cut(), /^a health check ended early: read ECONNRESET$/],
    [() => {}, /^no answer to a health check within 3000 ms$/],
  ];
  for (const [respond, error] of cases) {
    const found = await askedOf(respond);
    assert.match(Object(found).error, error);
  }
});

test("a question that got no answer in time is cancelled, so that the application stops too", async () => {
  const harness = new PoolHarness();
  const aborts: unknown[] = [];
  harness.server.respond = (stream) => {
    stream.handler = { ...stream.handler, onAbort: (abort) => void aborts.push(abort) };
  };
  const found = checkHealth(harness.pool, "", 3000, harness.server.services);
  await harness.clock.pass(3000);
  assert.deepEqual(await found, { error: "no answer to a health check within 3000 ms" });
  assert.deepEqual(aborts, [{ kind: "reset", code: ErrorCode.CANCEL }]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an application that cannot be reached is an answer too, at once or in time", async () => {
  const harness = new PoolHarness();
  harness.server.mode = "refuse";
  assert.deepEqual(await checkHealth(harness.pool, "", 3000, harness.server.services), { error: "connection refused" });
  harness.server.mode = "hang";
  const late = checkHealth(harness.pool, "", 3000, harness.server.services);
  await harness.clock.pass(3000);
  assert.deepEqual(await late, { error: "no answer to a health check within 3000 ms" });
  assert.equal(harness.pool.waiting, 0);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a name that is too long for a service is not asked for", async () => {
  const harness = new PoolHarness();
  const name = "x".repeat(1025);
  assert.equal(await checkHealth(harness.pool, name, 3000, harness.server.services), "SERVICE_UNKNOWN");
  assert.equal(harness.server.dials, 0);
});

test("an application on grpc-js understands the question and is understood", async () => {
  const raw = (octets: Buffer) => octets;
  const check = {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  };
  const definition: ServiceDefinition = { check };
  const server = new Server();
  const known = new Map([
    ["", [8, 1]],
    ["user.v1.UserService", [8, 2]],
  ]);
  server.addService(definition, {
    check(call: { request: Buffer }, done: (error: object | null, answer?: Buffer) => void) {
      const found = known.get(call.request.subarray(2).toString());
      if (found === undefined) done({ code: status.NOT_FOUND, details: "unknown service" });
      else done(null, Buffer.from(found));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const bound = (error: Error | null, found: number) => (error === null ? resolve(found) : reject(error));
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), bound);
  });
  const services = { clock: systemClock, loop: new FlushLoop(systemClock), headers: new HeaderTable() };
  const connect = plainConnect(services, () => ({ limits: defaultLimits, announce: false }));
  const drained = Promise.withResolvers<void>();
  const watcher = { meta: {}, onReachable() {}, onUnreachable() {}, onDrained: () => drained.resolve() };
  const address = { kind: "tcp", host: "127.0.0.1", port } as const;
  const pool = new ConnectionPool(address, poolServices(connect, systemClock), defaultPoolOptions, watcher);
  assert.equal(await checkHealth(pool, "", 3000, services), "SERVING");
  assert.equal(await checkHealth(pool, "user.v1.UserService", 3000, services), "NOT_SERVING");
  assert.equal(await checkHealth(pool, "orders.v1.Orders", 3000, services), "SERVICE_UNKNOWN");
  server.removeService(definition);
  assert.equal(await checkHealth(pool, "", 3000, services), "UNIMPLEMENTED");
  assert.equal(pool.size, 1);
  pool.drain("the test is over");
  await drained.promise;
  await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
});
