import assert from "node:assert/strict";
import { test } from "node:test";
import { type Consul, startConsul } from "../support/consul.ts";
import { Caller, NamedServer } from "../support/named-server.ts";
import { freePort } from "../support/ports.ts";
import { skipUnless } from "../support/real-parts.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const real = skipUnless("consul");

/** Two data centres that know each other. */
async function dataCentres(scope: Scope): Promise<{ readonly near: Consul; readonly far: Consul }> {
  const near = await startConsul({ datacenter: "dc1" });
  scope.onEnd(async () => void (await near.stop()));
  const self = (await near.request("GET", "/v1/agent/self")).body;
  const port: unknown = Reflect.get(Object(Reflect.get(Object(self), "DebugConfig")), "SerfPortWAN");
  const far = await startConsul({ datacenter: "dc2", config: `retry_join_wan = ["127.0.0.1:${String(port)}"]` });
  scope.onEnd(async () => void (await far.stop()));
  await eventually(
    async () => {
      const { status } = await near.request("GET", "/v1/health/service/nobody?dc=dc2");
      return status === 200;
    },
    () => "dc1 reaches dc2",
    30_000,
  );
  return { near, far };
}

async function register(consul: Consul, name: string, port: number, Meta: object = {}): Promise<void> {
  const body = { ID: `${name}-${port}`, Name: name, Address: "127.0.0.1", Port: port, Meta };
  assert.equal((await consul.request("PUT", "/v1/agent/service/register", body)).status, 200);
}

function count(sidecar: Sidecar, upstream: string): number {
  const cluster = [...sidecar.runtime.upstreams.clusters()].find(({ name }) => name === upstream);
  return cluster?.size ?? 0;
}

test("calls go to another data centre while this one has no instance, by failover and by a prepared query", real, () =>
  inScope(async (scope) => {
    const { near, far } = await dataCentres(scope);
    const there = await NamedServer.start(scope, "far");
    await register(far, "orders", there.port);
    const query = {
      Name: "orders-anywhere",
      Service: { Service: "orders", OnlyPassing: true, Failover: { Datacenters: ["dc2"] } },
    };
    assert.equal((await near.request("POST", "/v1/query", query)).status, 200);
    const sidecar = await scope.sidecar({
      discovery: { consul: { address: near.address } },
      upstreams: {
        orders: { failover: ["orders-far"] },
        "orders-far": { consul: { service: "orders", datacenter: "dc2" } },
        "orders-by-query": { consul: { query: "orders-anywhere" } },
      },
    });
    await eventually(
      () => count(sidecar, "orders-far") === 1 && count(sidecar, "orders-by-query") === 1,
      () => `${count(sidecar, "orders-far")} far, ${count(sidecar, "orders-by-query")} by the query`,
    );
    const orders = new Caller(scope, sidecar.outbound, "orders");
    const queried = new Caller(scope, sidecar.outbound, "orders-by-query");
    assert.deepEqual([...(await orders.outcomes(20))], ["far"]);
    assert.deepEqual([...(await queried.outcomes(20))], ["far"]);

    const here = await NamedServer.start(scope, "near");
    await register(near, "orders", here.port);
    await eventually(
      async () => [...(await orders.outcomes(10))].join() === "near",
      () => "calls come back",
    );
    sidecar.clock.jump(10_000);
    await eventually(
      async () => [...(await queried.outcomes(10))].join() === "near",
      () => "the query finds the near one",
      15_000,
    );
  }),
);

test("a service-resolver's failover has calls go to another data centre, and to its subset there", real, () =>
  inScope(async (scope) => {
    const { near, far } = await dataCentres(scope);
    const there = await NamedServer.start(scope, "far");
    const otherVersion = await NamedServer.start(scope, "far-old");
    await register(far, "orders", there.port, { version: "v2" });
    await register(far, "orders", otherVersion.port, { version: "v1" });
    const entry = {
      ...{ Kind: "service-resolver", Name: "orders", DefaultSubset: "v2" },
      Subsets: { v2: { Filter: "Service.Meta.version == v2" } },
      Failover: { "*": { Datacenters: ["nowhere", "dc2"] } },
    };
    assert.equal((await near.request("PUT", "/v1/config", entry)).status, 200);
    const sidecar = await scope.sidecar({
      discovery: { consul: { address: near.address } },
      upstreams: { orders: { routing: "consul" } },
    });
    await sidecar.runtime.whenReady();
    const orders = new Caller(scope, sidecar.outbound, "orders");
    await eventually(
      async () => [...(await orders.outcomes(10))].join() === "far",
      () => "calls go to the other data centre",
      15_000,
    );
    const here = await NamedServer.start(scope, "near");
    await register(near, "orders", here.port, { version: "v2" });
    await eventually(
      async () => [...(await orders.outcomes(10))].join() === "near",
      () => "calls come back",
      15_000,
    );
  }),
);

test("a data centre that cannot be reached is no reason to wait where another upstream can take the call", real, () =>
  inScope(async (scope) => {
    const consul = await startConsul();
    scope.onEnd(async () => void (await consul.stop()));
    const here = await NamedServer.start(scope, "near");
    await register(consul, "orders", here.port);
    const sidecar = await scope.sidecar({
      discovery: { consul: { address: consul.address } },
      upstreams: {
        far: { consul: { service: "orders", datacenter: "nowhere" }, failover: ["orders"] },
        orders: {},
        dead: { discovery: "static", endpoints: [`127.0.0.1:${await freePort()}`], failover: ["far", "orders"] },
      },
    });
    await eventually(
      () => count(sidecar, "orders") === 1,
      () => "an instance",
    );
    for (const name of ["far", "dead"]) {
      const caller = new Caller(scope, sidecar.outbound, name);
      assert.deepEqual([...(await caller.outcomes(10))], ["near"], name);
    }
  }),
);
