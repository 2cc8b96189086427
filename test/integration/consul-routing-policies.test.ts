import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { ClustersAnswer } from "../../src/control/answers.ts";
import { RuntimeView } from "../../src/control/runtime-view.ts";
import { good } from "../config/load-text.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { skipUnless } from "../support/real-parts.ts";
import { inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually, inScope, type Sidecar, wholeConfig } from "../support/with-proxy.ts";
import { ConsulWorld, grpcDefaults, resolver, router, splitter, versions } from "./consul-world.ts";

const real = skipUnless("consul");
const view = ({ runtime }: Sidecar) => new RuntimeView(runtime, { drain: () => {}, quit: () => {} }, "test");

test("times and retries of a destination hold, retries for methods that the upstream declares idempotent", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    const failing = await ScriptedServer.start(scope, trailersOnly(14), inTrailers(0, ["second"]));
    const failingOnce = await ScriptedServer.start(scope, trailersOnly(14));
    const silent = await ScriptedServer.start(scope, silence);
    for (const [name, server] of [
      ["web.retried", failing],
      ["web.once", failingOnce],
      ["web.silent", silent],
    ] as const) {
      world.servers.set(name, server);
      await world.register(name);
    }
    const subsets = ["retried", "once", "silent"].map((name) => [name, { Filter: `Service.Meta.version == ${name}` }]);
    const retries = { NumRetries: 2, RetryOn: ["unavailable"], RequestTimeout: "10s" };
    await world.entries(
      ...grpcDefaults("web"),
      resolver("web", { Subsets: Object.fromEntries(subsets), RequestTimeout: "300ms" }),
      router(
        "web",
        [{ PathExact: "/test.v1.Test/Get" }, { ServiceSubset: "retried", ...retries }],
        [{ PathExact: "/test.v1.Test/Put" }, { ServiceSubset: "once", ...retries }],
        [{ PathExact: "/test.v1.Test/Slow" }, { ServiceSubset: "silent", RequestTimeout: "100ms" }],
        [{ PathExact: "/test.v1.Test/Idle" }, { ServiceSubset: "silent", RequestTimeout: "-1s", IdleTimeout: "100ms" }],
        [{ PathExact: "/test.v1.Test/Late" }, { ServiceSubset: "silent" }],
      ),
    );
    const caller = await world.caller({
      web: { routing: "consul", retry: { attempts: 2, idempotentMethods: ["test.v1.Test/Get"] } },
    });
    assert.equal(await caller.land("/test.v1.Test/Get"), "second");
    assert.equal(failing.requests.length, 2);
    const answer = await caller.answer("/test.v1.Test/Put");
    assert.equal(fieldOf(answer.head, "grpc-status"), "14");
    assert.equal(failingOnce.requests.length, 1, "what may have run is not made again");
    assert.equal(await caller.land("/test.v1.Test/Slow"), "DEADLINE_POLICY");
    assert.equal(await caller.land("/test.v1.Test/Idle"), "IDLE_TIMEOUT");
    assert.equal(await caller.land("/test.v1.Test/Late"), "DEADLINE_POLICY", "the resolver's");
  }),
);

test("a load balancer of a resolver keeps calls together", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.a", "web.b", "web.c"]) await world.instance(name);
    const LoadBalancer = {
      Policy: "maglev",
      HashPolicies: [{ Field: "header", FieldValue: "X-User", Terminal: true }],
    };
    await world.entries(...grpcDefaults("web"), resolver("web", { LoadBalancer }));
    const caller = await world.caller({ web: { routing: "consul" } });
    const [cluster] = view(caller.sidecar).clusters().clusters;
    assert.equal(cluster?.balancer, "maglev");
    const homes = new Map<string, string>();
    for (let round = 0; round < 3; round++)
      for (let n = 0; n < 12; n++) {
        const where = await caller.land("/test.v1.Test/Call", ["x-user", `user-${n}`]);
        assert.equal(homes.get(`user-${n}`) ?? where, where);
        homes.set(`user-${n}`, where);
      }
    assert.ok(new Set(homes.values()).size > 1);
  }),
);

test("people read how calls are routed, and what of it is not obeyed", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "web.v2"]) await world.instance(name);
    await world.entries(
      ...grpcDefaults("web"),
      resolver("web", versions),
      splitter("web", { Weight: 90, ServiceSubset: "v1" }, { Weight: 10, ServiceSubset: "v2" }),
      router("web", [{ PathPrefix: "/a." }, { ServiceSubset: "v2", NumRetries: 1, RetryOn: ["retriable-4xx"] }]),
    );
    const caller = await world.caller({ web: { routing: "consul" } });
    const { clusters, routing } = view(caller.sidecar).clusters();
    const sorted = clusters.toSorted((a, b) => a.name.localeCompare(b.name));
    assert.deepEqual(
      sorted.map(({ name, endpoints }) => [name, endpoints.length]),
      [
        ["web", 2],
        ["web/v1.web", 1],
        ["web/v2.web", 1],
      ],
    );
    const [web] = routing;
    assert.equal(web?.protocol, "grpc");
    assert.equal(web.staleSince, null);
    assert.deepEqual(web.routes, [
      { name: "Routes[0]", match: 'path prefix "/a."', to: [{ name: "web/v2.web", share: 1 }] },
      {
        name: "Routes[1]",
        match: 'path prefix "/"',
        to: [
          { name: "web/v1.web", share: 0.9 },
          { name: "web/v2.web", share: 0.1 },
        ],
      },
    ]);
    assert.deepEqual(web.notObeyed, [
      "service-router web: Routes[0].Destination.RetryOn[0]: nothing of the kind of retriable-4xx befalls a call of gRPC",
      "service-router web: Routes[0].Destination.NumRetries: upstreams.web.retry declares no idempotent method, so only calls that provably were not processed are made again",
    ]);
    const told = caller.sidecar.lines.filter(({ msg }) => /not obeyed in part/.test(String(msg)));
    assert.equal(told.length, 2);
    const metrics = await caller.sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_consul_routing_not_obeyed", { upstream: "web" }), 2);
    assert.equal(sampleValue(metrics, "outrigger_consul_routing_changes_total", { upstream: "web" }), 1);
  }),
);

test("a reload has calls routed by Consul and by the file again, and keeps connections", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "api.v1"]) await world.instance(name);
    await world.entries(...grpcDefaults("web", "api"), resolver("web", { Redirect: { Service: "api" } }));
    const discovery = { consul: { address: world.consul.address } };
    const caller = await world.caller({ web: {} });
    const { runtime } = caller.sidecar;
    const go = async (web: object, routes: object[] = []): Promise<void> => {
      const text = JSON.stringify(wholeConfig({ discovery, upstreams: { web, api: {} }, routes }));
      assert.equal((await runtime.apply(good(text))).kind, "applied");
    };
    assert.equal(await caller.land(), "web.v1");
    await go({ routing: "consul" });
    // Until Consul has said how, calls wait.
    assert.equal(await caller.land(), "api.v1");
    const cluster = () => [...runtime.upstreams.clusters()].find(({ name }) => name === "web/api");
    const before = cluster();
    // An idle one may have been set aside, and another made beside it.
    const ages = () => before?.stats().flatMap(({ connections }) => connections.map(({ age }) => age)) ?? [];
    const [oldest = Number.NaN] = ages().sort((one, other) => other - one);
    await go({ routing: "consul", timeout: "3s" }, [
      { name: "by-file", upstream: "web", match: { method: "test.v1.Test/File" }, to: "api" },
    ]);
    assert.equal(await caller.land(), "api.v1");
    assert.equal(cluster(), before);
    assert.ok(Math.max(...ages()) >= oldest, "the same connection");
    assert.equal(await caller.land("/test.v1.Test/File"), "api.v1");
    await go({});
    assert.equal(await caller.land(), "web.v1");
  }),
);

test("every worker routes as Consul says, and the sum of what they know is one", real, () =>
  inScope(async (scope) => {
    const world = await ConsulWorld.start(scope);
    for (const name of ["web.v1", "api.v1"]) await world.instance(name);
    await world.entries(...grpcDefaults("web", "api"), resolver("web", { Redirect: { Service: "api" } }));
    const sidecar = await startSidecarProcess({
      workers: 2,
      discovery: { consul: { address: world.consul.address } },
      upstreams: { web: { routing: "consul" } },
    });
    scope.onEnd(async () => void (await sidecar.process.stop()));
    const peers = await Promise.all(Array.from({ length: 16 }, () => connectPeer(scope, sidecar.address("outbound"))));
    const land = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const peer of peers) {
        const answer = await peer.answer(peer.request(callHead("web"), true));
        found.push(fieldOf(answer.head, "outrigger-reason") ?? answer.data.toString("latin1").slice(5));
      }
      return found;
    };
    assert.deepEqual(new Set(await land()), new Set(["api.v1"]));
    const { routing } = (await sidecar.admin("/clusters")) as ClustersAnswer;
    assert.deepEqual(
      routing.map(({ upstream, routes }) => [upstream, routes]),
      [["web", [{ name: "", match: "all calls", to: [{ name: "web/api", share: 1 }] }]]],
    );
    await world.remove("service-resolver", "web");
    await eventually(
      async () => new Set(await land()).size === 1 && (await land())[0] === "web.v1",
      () => "every worker to hear of the change",
      15_000,
    );
  }),
);

test("a call waits for the first word of how it is routed, and says what it waited for", () =>
  inScope(async (scope) => {
    // An agent that knows instances and refuses to tell how they are routed.
    const agent = createServer((request, response) => {
      if (request.url?.startsWith("/v1/discovery-chain/")) {
        response.writeHead(403).end("Permission denied");
        return;
      }
      const held = /index=/.test(request.url ?? "") ? 500 : 0;
      setTimeout(
        () => response.writeHead(200, { "x-consul-index": "7", "x-consul-knownleader": "true" }).end("[]"),
        held,
      );
    });
    agent.listen(0, "127.0.0.1");
    scope.onEnd(() => {
      agent.close();
      agent.closeAllConnections();
    });
    await new Promise((resolve) => agent.once("listening", resolve));
    const address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const sidecar = await scope.sidecar({
      discovery: { consul: { address } },
      upstreams: { web: { routing: "consul" } },
    });
    const peer = await connectPeer(scope, sidecar.outbound);
    const stream = peer.request(callHead("web"), true);
    await eventually(
      () => sidecar.shared.room.calls === 1,
      () => "the call to wait",
    );
    await eventually(
      () => /refuses the token/.test(JSON.stringify(sidecar.runtime.ready())),
      () => `readiness to say why: ${JSON.stringify(sidecar.runtime.ready())}`,
    );
    const ready = sidecar.runtime.ready();
    assert.ok(!ready.ready);
    assert.match(
      JSON.stringify(ready.waiting),
      /upstream web.*consul has not said yet how calls of web are routed: consul at .* refuses the token/,
    );
    sidecar.clock.jump(30_000);
    const answer = await peer.answer(stream);
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "NO_ENDPOINTS");
    assert.match(fieldOf(answer.head, "grpc-message") ?? "", /consul has not said yet how calls of web are routed/);
  }));
