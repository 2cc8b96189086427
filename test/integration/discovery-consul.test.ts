import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Consul, startConsul } from "../support/consul.ts";
import { Caller, NamedServer } from "../support/named-server.ts";
import { freePorts } from "../support/ports.ts";
import { skipUnless } from "../support/real-parts.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const real = skipUnless("consul");

async function consulIn(scope: Scope): Promise<Consul> {
  const consul = await startConsul();
  scope.onEnd(async () => void (await consul.stop()));
  return consul;
}

/** Registers an instance without a check, so that it is passing for ever, as many a zombie is. */
async function register(consul: Consul, name: string, port: number): Promise<void> {
  const body = { ID: `${name}-${port}`, Name: name, Address: "127.0.0.1", Port: port };
  assert.equal((await consul.request("PUT", "/v1/agent/service/register", body)).status, 200);
}

async function deregister(consul: Consul, name: string, port: number): Promise<void> {
  assert.equal((await consul.request("PUT", `/v1/agent/service/deregister/${name}-${port}`)).status, 200);
}

function endpoints(sidecar: Sidecar, upstream: string): string[] {
  const cluster = [...sidecar.runtime.upstreams.clusters()].find(({ name }) => name === upstream);
  return [...(cluster?.endpoints ?? [])].map(({ label }) => label).sort();
}

test("instances that are dead in the catalog are out at the first refused connection, and no call is lost", real, () =>
  inScope(async (scope) => {
    const consul = await consulIn(scope);
    const alive = [await NamedServer.start(scope, "one"), await NamedServer.start(scope, "two")];
    const dead = await freePorts(8);
    for (const { port } of alive) await register(consul, "orders", port);
    for (const port of dead) await register(consul, "orders", port);
    const sidecar = await scope.sidecar({
      discovery: { consul: { address: consul.address } },
      upstreams: { orders: {} },
    });
    await eventually(
      () => endpoints(sidecar, "orders").length === 10,
      () => "10 endpoints",
    );
    const caller = new Caller(scope, sidecar.outbound, "orders");
    assert.deepEqual([...(await caller.outcomes(300))].sort(), ["one", "two"]);
    const [cluster] = sidecar.runtime.upstreams.clusters();
    const stats = cluster?.stats() ?? [];
    const out = stats.filter(({ state }) => state === "unreachable");
    // An idle endpoint is not found out about; of those that were tried none was tried by a second call.
    for (const { selected, failures } of out) assert.ok(selected <= 2 && failures <= 2, `${selected} ${failures}`);
    assert.ok(out.length >= 1);
    assert.equal(await sidecar.handled({ upstream: "orders", grpc_status: "OK" }), 300);

    // One comes to life at its old place, and is found by a probe.
    const [port] = dead;
    await NamedServer.start(scope, "back", port);
    await eventually(
      async () => (await caller.outcomes(10)).has("back"),
      () => "a call at the one that came back",
      20_000,
    );
  }),
);

test(
  "an address that the catalog gives to another service gets no call for the old one, over no connection",
  real,
  () =>
    inScope(async (scope) => {
      const consul = await consulIn(scope);
      // One server is what both are at, so that the connections stand while it changes hands.
      const moved = await NamedServer.start(scope, "moved");
      const stays = await NamedServer.start(scope, "stays");
      for (const { port } of [moved, stays]) await register(consul, "orders", port);
      const sidecar = await scope.sidecar({
        discovery: { consul: { address: consul.address } },
        upstreams: { orders: {}, billing: {} },
      });
      const orders = new Caller(scope, sidecar.outbound, "orders");
      const billing = new Caller(scope, sidecar.outbound, "billing");
      await eventually(
        async () => (await orders.outcomes(4)).size === 2,
        () => "calls at both",
      );
      await deregister(consul, "orders", moved.port);
      await register(consul, "billing", moved.port);
      await eventually(
        () => endpoints(sidecar, "billing").length === 1 && endpoints(sidecar, "orders").length === 1,
        () => "the address to change hands",
      );
      assert.deepEqual([...(await billing.outcomes(20))], ["moved"]);
      const before = moved.calls;
      assert.deepEqual([...(await orders.outcomes(50))], ["stays"]);
      assert.equal(moved.calls, before);
      // The last instance goes the same way.
      await deregister(consul, "orders", stays.port);
      await register(consul, "billing", stays.port);
      await eventually(
        () => endpoints(sidecar, "billing").length === 2,
        () => "the second address to change hands",
      );
      assert.deepEqual([...(await orders.outcomes(10))], ["NO_ENDPOINTS"]);
      assert.deepEqual([...(await billing.outcomes(20))].sort(), ["moved", "stays"]);
    }),
);

for (const isWatched of [true, false]) {
  test(
    `nor does it where the old list is only kept, for Consul has lost its memory (the new service ${isWatched ? "is" : "is not"} an upstream)`,
    real,
    () =>
      inScope(async (scope) => {
        const consul = await consulIn(scope);
        const moved = await NamedServer.start(scope, "moved");
        const stays = await NamedServer.start(scope, "stays");
        for (const { port } of [moved, stays]) await register(consul, "orders", port);
        const sidecar = await scope.sidecar({
          discovery: { consul: { address: consul.address } },
          upstreams: { orders: {}, ...(isWatched ? { billing: {} } : {}) },
        });
        const orders = new Caller(scope, sidecar.outbound, "orders");
        await eventually(
          async () => (await orders.outcomes(4)).size === 2,
          () => "calls at both",
        );
        await consul.restart();
        await register(consul, "billing", moved.port);
        await eventually(
          () => endpoints(sidecar, "orders").length === 1,
          () => `the address to change hands, ${endpoints(sidecar, "orders").join(" ")} are left`,
          20_000,
        );
        const before = moved.calls;
        assert.deepEqual([...(await orders.outcomes(50))], ["stays"]);
        assert.equal(moved.calls, before);
        assert.ok(sidecar.lines.some(({ successor, upstream }) => successor === "billing" && upstream === "orders"));
      }),
  );
}

test("a sidecar that starts without Consul makes calls by the answers of its last life", real, () =>
  inScope(async (scope) => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-start-"));
    scope.onEnd(() => rm(folder, { recursive: true }));
    const consul = await startConsul();
    let running = true;
    scope.onEnd(async () => void (running && (await consul.stop())));
    const server = await NamedServer.start(scope, "orders");
    await register(consul, "orders", server.port);
    const config = {
      discovery: { consul: { address: consul.address }, cache: join(folder, "cache.json") },
      upstreams: { orders: {} },
    };
    await inScope(async (life) => {
      const sidecar = await life.sidecar(config);
      assert.equal(await new Caller(life, sidecar.outbound, "orders").call(), "orders");
    });
    await consul.stop();
    running = false;
    const begin = Date.now();
    const sidecar = await scope.sidecar(config);
    assert.equal(await new Caller(scope, sidecar.outbound, "orders").call(), "orders");
    await sidecar.runtime.whenReady();
    assert.deepEqual(sidecar.runtime.ready(), { ready: true });
    const [cluster] = sidecar.runtime.upstreams.clusters();
    const state = cluster?.state.current;
    assert.ok(state?.kind === "known" && (state.staleSince ?? begin) < begin, JSON.stringify(state));
  }),
);
