import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connectPeer } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { skipUnless } from "../support/real-parts.ts";
import { eventually, inScope } from "../support/with-proxy.ts";
import { ConsulCaller, ConsulWorld, grpcDefaults, resolver, router, splitter, versions } from "./consul-world.ts";

const real = skipUnless("consul");

test("a router, a splitter and a resolver of a real Consul say where calls land, and changes hold at once", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "web.v2", "api.v1"]) await world.instance(name);
    await world.entries(...grpcDefaults("web", "api"), resolver("web", { ...versions, DefaultSubset: "v1" }));
    const caller = await world.caller({ web: { routing: "consul" } });
    assert.deepEqual([...(await caller.spread(10)).keys()], ["web.v1"], "the default subset");

    await world.entries(
      router(
        "web",
        [{ PathExact: "/test.v1.Test/Moved" }, { Service: "api", PrefixRewrite: "/test.v2.Test/Moved" }],
        [{ PathPrefix: "/admin.", Header: [{ Name: "X-Kind", Suffix: "beta" }] }, { ServiceSubset: "v2" }],
        [{ PathRegex: "/test\\.v[0-9]+\\.Test/(Get|List)" }, { ServiceSubset: "v2" }],
        [
          {
            Header: [
              { Name: "x-user", Present: true },
              { Name: "x-old", Present: true, Invert: true },
            ],
          },
          {
            ServiceSubset: "v2",
            RequestHeaders: { Set: { "x-tenant": "b" }, Add: { "x-more": "2" }, Remove: ["x-gone"] },
            ResponseHeaders: { Set: { "x-by": "consul" } },
          },
        ],
        [{ Methods: ["GET"] }, { Service: "api" }],
      ),
    );
    await caller.lands("api.v1", "/test.v1.Test/Moved");
    const moved = world.servers.get("api.v1")?.requests.at(-1);
    assert.equal(fieldOf(moved?.fields ?? [], ":path"), "/test.v2.Test/Moved");
    assert.equal(await caller.land("/admin.v1/Any", ["x-kind", "a-beta"]), "web.v2");
    assert.equal(await caller.land("/admin.v1/Any", ["x-kind", "a-rc"]), "web.v1");
    assert.equal(await caller.land("/test.v7.Test/List"), "web.v2");
    assert.equal(await caller.land("/test.v7.Test/Lists"), "web.v1");
    assert.equal(await caller.land("/test.v1.Test/Call", ["x-user", "a"], ["x-old", "1"]), "web.v1");
    const edited = await caller.answer("/test.v1.Test/Call", ["x-user", "a"], ["x-gone", "1"], ["x-more", "1"]);
    assert.equal(fieldOf(edited.head, "x-by"), "consul");
    const fields = world.servers.get("web.v2")?.requests.at(-1)?.fields ?? [];
    assert.deepEqual(
      fields.filter(({ name }) => name.startsWith("x-")).map(({ name, value }) => [name, value]),
      [
        ["x-user", "a"],
        ["x-more", "1"],
        ["x-tenant", "b"],
        ["x-more", "2"],
      ],
    );

    await world.remove("service-router", "web");
    await world.entries(
      splitter(
        "web",
        { Weight: 25, ServiceSubset: "v1", ResponseHeaders: { Set: { "x-way": "one" } } },
        { Weight: 50, ServiceSubset: "v2" },
        { Weight: 25, Service: "api" },
      ),
    );
    await caller.lands("web.v1", "/test.v1.Test/Moved");
    await eventually(
      async () => (await caller.spread(10)).size === 3,
      () => "the split to be in force",
      15_000,
    );
    const spread = await caller.spread(200);
    for (const [where, least, most] of [
      ["web.v1", 20, 85],
      ["web.v2", 65, 135],
      ["api.v1", 20, 85],
    ] as const) {
      const count = spread.get(where) ?? 0;
      assert.ok(count >= least && count <= most, `${where} has ${count} of 200 calls`);
    }

    await world.remove("service-splitter", "web");
    await world.entries(resolver("web", { Redirect: { Service: "api" } }));
    await caller.lands("api.v1");
    await world.remove("service-resolver", "web");
    await eventually(
      async () => [...(await caller.spread(10)).keys()].sort().join() === "web.v1,web.v2",
      () => "calls to go to all instances again",
      15_000,
    );
    assert.deepEqual(
      [...caller.sidecar.runtime.upstreams.clusters()].map(({ name }) => name),
      ["web"],
      "clusters of chains that are over are closed",
    );
  }),
);

test("a resolver's failover has calls as long as a subset has nobody, and Consul judges who is in it", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    await world.instance("web.v1");
    await world.instance("api.v1");
    await world.entries(
      ...grpcDefaults("web", "api"),
      resolver("web", {
        DefaultSubset: "v2",
        Subsets: { v2: { Filter: 'Service.Meta.version == "v2" and Service.ID matches "web.*"' } },
        Failover: { v2: { Targets: [{ Datacenter: "nowhere" }, { Service: "api" }] } },
      }),
    );
    const caller = await world.caller({ web: { routing: "consul" } });
    await caller.lands("api.v1");
    await world.instance("web.v2");
    await caller.lands("web.v2");
    await world.deregister("web.v2");
    await caller.lands("api.v1");
  }),
);

test("instances with a warning get calls of a subset that does not ask for passing ones only", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    await world.instance("web.v1");
    const warning = { Name: "disk", ID: "disk", ServiceID: "web.v1", TTL: "1h", Status: "warning" };
    assert.equal((await world.consul.request("PUT", "/v1/agent/check/register", warning)).status, 200);
    const subset = (more: object) => ({
      DefaultSubset: "v1",
      Subsets: { v1: { Filter: "Service.Meta.version == v1", ...more } },
    });
    await world.entries(...grpcDefaults("web"), resolver("web", subset({})));
    const caller = await world.caller({ web: { routing: "consul" } });
    await caller.lands("web.v1");
    await world.entries(resolver("web", subset({ OnlyPassing: true })));
    await caller.lands("NO_ENDPOINTS");
    const fail = await world.consul.request("PUT", "/v1/agent/check/fail/disk");
    assert.equal(fail.status, 200);
    await world.entries(resolver("web", subset({})));
    await eventually(
      () => [...caller.sidecar.runtime.upstreams.consulChains()][0]?.changes === 3,
      () => "the third chain",
      15_000,
    );
    assert.equal(await caller.land(), "NO_ENDPOINTS", "a critical one never gets any");
  }),
);

test("no call waits for a new chain: it is in force once its targets are known, or have been waited for", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    await world.instance("web.v1");
    await world.entries(...grpcDefaults("web"));
    const caller = await world.caller({ web: { routing: "consul" } });
    const [chain] = caller.sidecar.runtime.upstreams.consulChains();
    assert.equal(await caller.land(), "web.v1");
    await world.entries(resolver("web", { Redirect: { Service: "web", Datacenter: "nowhere" } }));
    await eventually(
      () => chain?.changes === 2,
      () => "the chain to change",
      15_000,
    );
    assert.equal(await caller.land(), "web.v1", "nobody knows anything of the new target");
    caller.sidecar.clock.jump(5000);
    assert.ok(caller.sidecar.lines.some(({ msg }) => /targets of which nothing is known yet/.test(String(msg))));
    await world.remove("service-resolver", "web");
    await caller.lands("web.v1");
  }),
);

test("a mirror and a fallback lead to where Consul routes their upstream", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    await world.instance("web.v1", [14]);
    for (const name of ["copy.v1", "moved.v1"]) await world.instance(name);
    await world.entries(...grpcDefaults("copy", "moved"), resolver("copy", { Redirect: { Service: "moved" } }));
    const circuitBreaker = { minimumRequests: 1, openFor: "60s", fallback: { upstream: "copy" } };
    const caller = await world.caller(
      { web: { circuitBreaker }, copy: { routing: "consul" } },
      {
        routes: [{ name: "copied", upstream: "web", match: { method: "test.v1.Test/Copied" }, mirror: { to: "copy" } }],
      },
    );
    await caller.answer("/test.v1.Test/Copied");
    await eventually(
      () => world.servers.get("moved.v1")?.requests.length === 1,
      () => "the copy",
      15_000,
    );
    await caller.lands("moved.v1");
    assert.equal(world.servers.get("copy.v1")?.requests.length, 0);
  }),
);

test("a start without Consul has the routing and the instances of before", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "web.v2"]) await world.instance(name);
    await world.entries(...grpcDefaults("web"), resolver("web", { ...versions, DefaultSubset: "v2" }));
    const folder = await mkdtemp(join(tmpdir(), "outrigger-routing-"));
    scope.onEnd(() => rm(folder, { recursive: true }));
    const discovery = { consul: { address: world.consul.address }, cache: join(folder, "cache.json") };
    const live = (): Promise<void> =>
      inScope(async (own) => {
        const sidecar = await own.sidecar({ discovery, upstreams: { web: { routing: "consul" } } });
        await eventually(
          () => sidecar.runtime.ready().ready,
          () => `the sidecar to be ready: ${JSON.stringify(sidecar.runtime.ready())}`,
          15_000,
        );
        const caller = new ConsulCaller(sidecar, await connectPeer(own, sidecar.outbound));
        assert.equal(await caller.land(), "web.v2");
      });
    await live();
    await world.consul.stop();
    await live();
  }),
);

test("a chain is kept while the agent restarts without its memory", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "web.v2"]) await world.instance(name);
    const subsets = resolver("web", { ...versions, DefaultSubset: "v2" });
    await world.entries(...grpcDefaults("web"), subsets);
    const caller = await world.caller({ web: { routing: "consul" } });
    await caller.lands("web.v2");
    const [chain] = caller.sidecar.runtime.upstreams.consulChains();
    const stale = () => chain?.state.kind === "known" && chain.state.staleSince !== undefined;

    await world.consul.restart();
    await eventually(stale, () => "the chain to be stale", 20_000);
    assert.deepEqual([...(await caller.spread(10)).keys()], ["web.v2"]);
    for (const name of ["web.v1", "web.v2"]) await world.register(name);
    await world.entries(...grpcDefaults("web"), resolver("web", { ...versions, DefaultSubset: "v1" }));
    await caller.lands("web.v1");
    assert.equal(stale(), false);
  }),
);
