import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EngineClient, EngineServer } from "../support/engine-peer.ts";
import { type Family, parseMetrics, sampleValue } from "../support/prometheus.ts";
import { QuotaServer } from "../support/quota-service.ts";
import { answerHead, callHead } from "../support/raw-call.ts";
import { type SidecarProcess, startSidecarOf, startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

const loopback = "127.0.0.1:0";
const listeners = { inbound: loopback, outbound: loopback, admin: loopback, probe: loopback };

async function application(scope: Scope): Promise<EngineServer> {
  const server = await EngineServer.start(() => [...answerHead, ["grpc-status", "0"]]);
  scope.onEnd(() => server.stop());
  return server;
}

async function start(scope: Scope, config: Readonly<Record<string, unknown>>): Promise<SidecarProcess> {
  const sidecar = await startSidecarProcess({ workers: 2, log: { access: "none" }, ...config });
  scope.onEnd(async () => void (await sidecar.process.stop()));
  return sidecar;
}

/** Clients with a connection each, of which the system gives some to every worker. */
async function clients(scope: Scope, address: string, count = 16): Promise<EngineClient[]> {
  const made = await Promise.all(Array.from({ length: count }, () => EngineClient.connect(address)));
  scope.onEnd(() => {
    for (const client of made) client.close();
  });
  return made;
}

async function metrics(sidecar: SidecarProcess): Promise<Map<string, Family>> {
  return parseMetrics(String(await sidecar.admin("/metrics")));
}

/** gRPC statuses of so many calls, made in turn by the clients. */
async function call(from: readonly EngineClient[], count: number): Promise<string[]> {
  const statuses: string[] = [];
  for (let at = 0; at < count; at++) {
    const answer = await from[at % from.length]?.call(callHead("user"));
    statuses.push(answer?.get("grpc-status") ?? "none");
  }
  return statuses;
}

interface Pages {
  readonly clusters: { name: string; endpoints: { connections: number }[] }[];
  readonly rateLimits: { name: string; refused: number; keys: number }[];
  readonly connections: { direction: string; made: string }[];
}

test("calls of two workers: pages and metrics show the sum, and a limit holds for both together", async () => {
  await inScope(async (scope) => {
    const app = await application(scope);
    const sidecar = await start(scope, {
      service: { name: "user", address: app.address, health: "none" },
      rateLimits: [{ name: "all", limit: "60/h", lease: undefined }],
    });
    const from = await clients(scope, sidecar.address("inbound"));
    const statuses = await call(from, 160);
    const passed = statuses.filter((status) => status === "0").length;
    // Each worker: what it may lease at once.
    assert.ok(passed >= 60 && passed <= 60 + 2 * 5, `${passed}`);
    assert.equal(app.requests, passed);
    const families = await metrics(sidecar);
    const labels = { direction: "inbound", upstream: "user" };
    assert.equal(sampleValue(families, "outrigger_calls_started_total", labels), 160);
    assert.equal(sampleValue(families, "outrigger_workers", {}), 2);
    assert.equal(sampleValue(families, "outrigger_config_version", {}), 1);
    const limited = { limit: "all", direction: "inbound", mode: "enforce" };
    assert.equal(sampleValue(families, "outrigger_rate_limited_total", limited), 160 - passed);
    const { rateLimits } = (await sidecar.admin("/clusters")) as Pages;
    assert.deepEqual(
      rateLimits.map(({ name, refused, keys }) => ({ name, refused, keys })),
      [{ name: "all", refused: 160 - passed, keys: 1 }],
    );
    const { connections } = (await sidecar.admin("/connections")) as Pages;
    assert.equal(connections.filter(({ made }) => made === "accepted").length, 16);
    // Each worker has had calls. On a slow machine an idle connection may have been set aside, and another made.
    const dialled = connections.filter(({ made }) => made === "dialled").length;
    assert.ok(dialled >= 2, `${dialled} connections`);
  });
});

test("a quota that a service assigns holds for both workers together, which it hears of as one", async () => {
  await inScope(async (scope) => {
    const quotas = new QuotaServer();
    await quotas.start();
    scope.onEnd(async () => quotas.stop());
    const app = await application(scope);
    const quotaService = { address: quotas.address, report: "100ms" };
    const sidecar = await start(scope, {
      service: { name: "user", address: app.address, health: "none" },
      rateLimits: [{ name: "quota", quotaService }],
    });
    const from = await clients(scope, sidecar.address("inbound"));
    assert.ok(
      (await call(from, 32)).every((status) => status === "0"),
      "no call waits for it",
    );
    await eventually(
      // What the workers took is told as used; what was passed on credit is with the next calls.
      async () => {
        assert.ok((await call(from, 2)).every((status) => status === "0"));
        return quotas.sumOf({ name: "quota" }).allowed >= 32;
      },
      () => "their usage is reported",
      15_000,
    );
    assert.equal(quotas.opened, 1);
    quotas.assign({ name: "quota" }, { requests: 20, unit: 4 });
    const labels = { limit: "quota", direction: "inbound", state: "assigned" };
    await eventually(
      async () => sampleValue(await metrics(sidecar), "outrigger_rate_limit_quota_buckets", labels) === 1,
      () => "the assignment",
      15_000,
    );
    await eventually(
      async () => (await call(from, 16)).every((status) => status === "8"),
      () => "the quota is used up for both",
      15_000,
    );
    const refused = async () => (await call(from, 64)).filter((status) => status === "8").length;
    assert.equal(await refused(), 64, "a call comes back every hour or so");
  });
});

test("workers call what the control thread discovers, and follow it", async () => {
  await inScope(async (scope) => {
    const path = await mkdtemp(join(tmpdir(), "outrigger-workers-"));
    scope.onEnd(() => rm(path, { recursive: true, force: true }));
    const app = await application(scope);
    const discovery = { directory: { path } };
    const callee = await start(scope, { service: { name: "user", address: app.address, health: "tcp" }, discovery });
    const caller = await start(scope, { identity: { name: "caller" }, discovery });
    const from = await clients(scope, caller.address("outbound"));
    await eventually(
      async () => (await call(from, 16)).every((status) => status === "0"),
      () => "every worker finds the service",
      15_000,
    );
    const { clusters } = (await caller.admin("/clusters")) as Pages;
    assert.deepEqual(
      clusters.map(({ name, endpoints }) => ({ name, endpoints: endpoints.length })),
      [{ name: "user", endpoints: 1 }],
    );
    await callee.process.stop();
    await eventually(
      async () => (await call(from, 16)).every((status) => status === "14"),
      () => "every worker knows that it is gone",
      15_000,
    );
  });
});

test("a reload reaches every worker, whole or not at all", async () => {
  await inScope(async (scope) => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-workers-"));
    scope.onEnd(() => rm(folder, { recursive: true, force: true }));
    const app = await application(scope);
    const file = join(folder, "outrigger.yaml");
    const write = (more: object): Promise<void> =>
      writeFile(
        file,
        JSON.stringify({
          service: { name: "user", address: app.address, health: "none" },
          listeners,
          workers: 2,
          drain: { notice: "10ms", grace: "1s" },
          log: { access: "none" },
          ...more,
        }),
      );
    await write({});
    const sidecar = await startSidecarOf(file);
    scope.onEnd(async () => void (await sidecar.process.stop()));
    const from = await clients(scope, sidecar.address("inbound"));
    assert.ok((await call(from, 32)).every((status) => status === "0"));
    const version = async () => sampleValue(await metrics(sidecar), "outrigger_config_version", {});
    await write({ rateLimits: [{ name: "none", limit: "1/h" }] });
    await eventually(
      async () => (await version()) === 2,
      () => "the second configuration",
    );
    const passed = (await call(from, 64)).filter((status) => status === "0").length;
    assert.ok(passed <= 3, `${passed} of 64`);
    await write({ workers: 3 });
    await sidecar.process.line(/workers cannot change while running/);
    assert.equal(await version(), 2);
  });
});

test("a drain lets the calls of every worker end", async () => {
  await inScope(async (scope) => {
    const waiting: (() => void)[] = [];
    const app = await EngineServer.listen((_request, reply) => {
      waiting.push(() => reply([...answerHead, ["grpc-status", "0"]]));
    });
    scope.onEnd(() => app.stop());
    const sidecar = await start(scope, {
      service: { name: "user", address: app.address, health: "none" },
      drain: { notice: "10ms", grace: "10s" },
    });
    const from = await clients(scope, sidecar.address("inbound"));
    const calls = from.map((client) => client.call(callHead("user")));
    await eventually(
      () => waiting.length === from.length,
      () => `${waiting.length} calls are under way`,
    );
    sidecar.process.signal("SIGTERM");
    await sidecar.process.line(/callers are asked to go/);
    for (const reply of waiting) reply();
    for (const answer of await Promise.all(calls)) assert.equal(answer.get("grpc-status"), "0");
    app.stop();
    assert.deepEqual(await sidecar.process.exited, { code: 0, signal: null });
  });
});

test("an address that is in use is told of at once, and nothing is left behind", async () => {
  await inScope(async (scope) => {
    const app = await application(scope);
    const first = await start(scope, { service: { name: "user", address: app.address, health: "none" } });
    const inbound = first.address("inbound");
    const second = startSidecarProcess({
      workers: 2,
      service: { name: "user", address: app.address, health: "none" },
      listeners: { ...listeners, inbound },
    });
    await assert.rejects(second, /cannot listen on 127\.0\.0\.1:[0-9]+/);
  });
});

test("what one worker ejects the others eject, too, and what the control thread's checks say holds for all", async (t) => {
  await inScope(async (scope) => {
    const good = await application(scope);
    const ill = await EngineServer.start(() => [...answerHead, ["grpc-status", "14"]]);
    scope.onEnd(() => ill.stop());
    const gone = await application(scope);
    gone.stop();
    const sidecar = await start(scope, {
      identity: { name: "caller" },
      upstreams: {
        user: {
          discovery: "static",
          endpoints: [good.address, ill.address, gone.address],
          balancer: "roundRobin",
          healthCheck: { kind: "tcp", interval: "100ms", timeout: "100ms", unhealthyAfter: 1 },
        },
      },
    });
    const states = new Map<string, string>();
    await eventually(
      async () => {
        const { clusters } = (await sidecar.admin("/clusters")) as {
          clusters: { endpoints: { address: string; state: string }[] }[];
        };
        for (const { endpoints } of clusters) for (const { address, state } of endpoints) states.set(address, state);
        return states.get(gone.address) === "unhealthy";
      },
      () => `${gone.address} is unhealthy: ${[...states].join("; ")}`,
      20_000,
    );
    // One connection: all of its calls are one worker's.
    const from = await clients(scope, sidecar.address("outbound"), 1);
    await eventually(
      async () => {
        await call(from, 10);
        const families = await metrics(sidecar);
        const ejections = families.get("outrigger_ejections_total")?.samples ?? [];
        return ejections.reduce((sum, { value }) => sum + value, 0) === 2;
      },
      () => "both workers have ejected it",
      20_000,
    );
    // A figure for people: how long machines take depends on what else they do. That nothing is waited for, crew.test.ts shows.
    const lines = sidecar.process
      .stderr()
      .split("\n")
      .filter((line) => line.includes("gets no calls for"));
    const [first = 0, second = 0] = lines.map((line) =>
      Date.parse(JSON.parse(line)["@timestamp"] ?? JSON.parse(line).time),
    );
    t.diagnostic(`one worker has ejected it ${second - first} ms after the other`);
  });
});

test("a circuit breaker that opens in one worker opens in the others", async () => {
  await inScope(async (scope) => {
    const ill = await EngineServer.start(() => [...answerHead, ["grpc-status", "14"]]);
    scope.onEnd(() => ill.stop());
    const sidecar = await start(scope, {
      identity: { name: "caller" },
      upstreams: {
        user: {
          discovery: "static",
          endpoints: [ill.address],
          circuitBreaker: { failureRate: "50%", minimumRequests: 5, openFor: "1m", statuses: ["unavailable"] },
        },
      },
    });
    const from = await clients(scope, sidecar.address("outbound"), 1);
    await eventually(
      async () => {
        await call(from, 10);
        const opened = (await metrics(sidecar)).get("outrigger_circuit_breaker_opened_total")?.samples ?? [];
        return opened.reduce((sum, { value }) => sum + value, 0) === 2;
      },
      () => "the breakers of both workers are open",
      20_000,
    );
  });
});
