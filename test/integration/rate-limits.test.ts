import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, type Metadata, Metadata as MetadataOf, type ServiceError } from "@grpc/grpc-js";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { RateLimitServer } from "../support/rate-limit-service.ts";
import { skipUnless } from "../support/real-parts.ts";
import { RealRedis } from "../support/redis.ts";
import { eventually, inScope, type Scope, type SidecarConfig } from "../support/with-proxy.ts";

type Limits = NonNullable<SidecarConfig["rateLimits"]>;

/** An application that counts its calls, its sidecar with these limits, and a client of the sidecar's inbound listener. */
async function world(scope: Scope, rateLimits: Limits, options: Readonly<Record<string, string | number>> = {}) {
  let served = 0;
  const server = await GrpcServer.start({
    unary: (_call: unknown, done: (error: null, answer: Buffer) => void) => {
      served++;
      done(null, Buffer.from("ok"));
    },
  });
  scope.onEnd(() => server.stop());
  const sidecar = await scope.sidecar({ service: { name: "up", address: server.address }, rateLimits });
  const client = grpcClient(sidecar.inbound, "up", options);
  scope.onEnd(() => client.close());
  return { sidecar, client, served: () => served };
}

interface Ended {
  readonly error: ServiceError | null;
  readonly field: (name: string) => string | undefined;
}

function call(client: Client, fields: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const { path, requestSerialize, responseDeserialize } = testService.unary;
  const metadata = new MetadataOf();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 20_000 };
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.alloc(0),
      metadata,
      options,
      (error) => {
        const field = (name: string): string | undefined => {
          const trailers: Metadata | undefined = error?.metadata;
          const [value] = trailers?.get(name) ?? [];
          return value === undefined ? undefined : String(value);
        };
        resolve({ error, field });
      },
    );
  });
}

async function statuses(client: Client, count: number, fields?: Readonly<Record<string, string>>) {
  const codes: number[] = [];
  for (let at = 0; at < count; at++) codes.push((await call(client, fields)).error?.code ?? 0);
  return codes;
}

test("calls over a limit are answered with RESOURCE_EXHAUSTED and when to come again, and never reach the application", async () => {
  await inScope(async (scope) => {
    const { client, served, sidecar } = await world(scope, [
      { name: "per-tenant", key: ["metadata.x-tenant"], limit: "2/h", headers: "all" },
    ]);
    assert.deepEqual(await statuses(client, 3, { "x-tenant": "a" }), [0, 0, 8]);
    assert.deepEqual(await statuses(client, 1, { "x-tenant": "b" }), [0]);
    const { error, field } = await call(client, { "x-tenant": "a" });
    assert.equal(error?.code, 8);
    assert.equal(field("outrigger-reason"), "RATE_LIMIT");
    assert.equal(field("x-ratelimit-limit"), "2");
    assert.equal(field("x-ratelimit-remaining"), "0");
    const pushback = Number(field("grpc-retry-pushback-ms"));
    assert.ok(pushback > 1_700_000 && pushback <= 1_800_000, `${pushback}`);
    assert.equal(Number(field("retry-after")), Math.ceil(pushback / 1000));
    assert.equal(served(), 3);
    const limits = await sidecar.metrics();
    assert.equal(limits.get("outrigger_rate_limited_total")?.samples[0]?.value, 2);
  });
});

test("a client with a retry policy honours the pushback: its call comes again in time and is answered", async () => {
  await inScope(async (scope) => {
    const retryPolicy = {
      maxAttempts: 3,
      initialBackoff: "0.001s",
      maxBackoff: "0.001s",
      backoffMultiplier: 1,
      retryableStatusCodes: ["RESOURCE_EXHAUSTED"],
    };
    const serviceConfig = JSON.stringify({ loadBalancingConfig: [], methodConfig: [{ name: [{}], retryPolicy }] });
    const { client, served, sidecar } = await world(scope, [{ name: "slow", limit: "4/s", burst: 1 }], {
      "grpc.enable_retries": 1,
      "grpc.service_config": serviceConfig,
    });
    const began = performance.now();
    assert.deepEqual(await statuses(client, 3), [0, 0, 0]);
    assert.ok(performance.now() - began >= 400, "two calls have waited for a quarter of a second each");
    assert.equal(served(), 3);
    // With a backoff of a millisecond and no pushback it would have been used up after three attempts.
    assert.ok(sidecar.calls.filter(({ reason }) => reason === "RATE_LIMIT").length <= 4);
  });
});

test("sidecars that share a limit in Redis count together", skipUnless("redis-server"), async () => {
  await inScope(async (scope) => {
    const redis = await RealRedis.start();
    scope.onEnd(async () => void (await redis.kill()));
    const limit = {
      name: "all",
      key: ["metadata.x-tenant"],
      limit: "30/h",
      store: redis.url,
      lease: 1,
      onStoreFailure: "deny",
    };
    const worlds = [await world(scope, [limit]), await world(scope, [limit])];
    let passed = 0;
    for (let at = 0; at < 50; at++) for (const { client } of worlds) if ((await call(client)).error === null) passed++;
    assert.ok(passed >= 30 && passed <= 32, `${passed}`);
    const [first] = worlds;
    assert.ok(first !== undefined);
    await redis.kill();
    await eventually(
      async () => {
        await call(first.client, { "x-tenant": "another" });
        return (await first.sidecar.metrics()).get("outrigger_rate_limit_store_up")?.samples[0]?.value === 0;
      },
      () => "the store is down",
    );
    const { error } = await call(first.client, { "x-tenant": "another" });
    assert.equal(error?.code, 8);
    assert.match(String((await first.sidecar.call(first.sidecar.calls.length - 1)).detail), /does not answer$/);
  });
});

test("a rate limit service is asked with Envoy's descriptors, and obeyed", async () => {
  await inScope(async (scope) => {
    const service = new RateLimitServer();
    await service.start();
    scope.onEnd(() => service.stop());
    service.answer = ({ descriptors }) =>
      descriptors[0]?.[0]?.[1] === "greedy"
        ? { overLimit: true, limit: 5, remaining: 0, reset: 2.5 }
        : { overLimit: false };
    const key = ["metadata.x-tenant", "remote.address", "upstream", "method", "identity"];
    const { client } = await world(scope, [
      { name: "billing", key, timeout: "5s", headers: "all", service: { address: service.address, domain: "mesh" } },
    ]);
    assert.equal((await call(client, { "x-tenant": "modest" })).error, null);
    assert.deepEqual(service.asked[0], {
      domain: "mesh",
      descriptors: [
        [
          ["x-tenant", "modest"],
          ["remote_address", "127.0.0.1"],
          ["destination_cluster", "up"],
          ["method", "test.v1.Test/Unary"],
          ["identity", ""],
        ],
      ],
      hits: 1,
    });
    const { error, field } = await call(client, { "x-tenant": "greedy" });
    assert.equal(error?.code, 8);
    assert.deepEqual(
      ["grpc-retry-pushback-ms", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(field),
      ["2500", "5", "0", "3"],
    );
  });
});

for (const [onStoreFailure, code] of [
  ["allow", 0],
  ["deny", 8],
] as const) {
  test(`a rate limit service that is silent, and one that is gone: ${onStoreFailure}`, async () => {
    await inScope(async (scope) => {
      const service = new RateLimitServer();
      await service.start();
      scope.onEnd(() => service.stop());
      service.answer = () => undefined;
      const address = service.address;
      const { client, sidecar } = await world(scope, [
        { name: "billing", timeout: "50ms", onStoreFailure, service: { address } },
      ]);
      assert.deepEqual(await statuses(client, 2), [code, code]);
      assert.deepEqual(service.asked[0]?.descriptors, [[["generic_key", "billing"]]]);
      service.stop();
      assert.deepEqual(await statuses(client, 2), [code, code]);
      const families = await sidecar.metrics();
      assert.equal(families.get("outrigger_rate_limit_store_failures_total")?.samples[0]?.value, 4);
      assert.equal(families.get("outrigger_rate_limit_store_up")?.samples[0]?.value, 0);
      service.answer = () => ({ overLimit: false });
      await service.start(Number(address.split(":")[1]));
      await eventually(
        async () => {
          await call(client);
          return (await sidecar.metrics()).get("outrigger_rate_limit_store_up")?.samples[0]?.value === 1;
        },
        () => "the service is used again",
        15_000,
      );
    });
  });
}
