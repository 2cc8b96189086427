import assert from "node:assert/strict";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { type Act, inTrailers, ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { ask, httpServer, socketMesh } from "../support/socket-mesh.ts";
import { eventually, inScope, type Sidecar } from "../support/with-proxy.ts";

/** What each endpoint of the upstream `up` is due, in the order of the configuration. */
function due({ runtime }: Sidecar): readonly { readonly state: string; readonly weight: number }[] {
  const [cluster] = [...runtime.upstreams.clusters()].filter(({ name }) => name === "up");
  return (cluster?.stats() ?? []).map(({ state, effectiveWeight: weight }) => ({ state, weight }));
}

const PLAIN_HTTP: Act = (peer, stream) =>
  peer.headers(
    stream,
    [
      [":status", "429"],
      ["content-type", "text/plain"],
      ["retry-after", "60"],
    ],
    true,
  );

for (const [what, act] of [
  ["RESOURCE_EXHAUSTED alone", trailersOnly(8, ["grpc-retry-pushback-ms", "60000"])],
  ["RESOURCE_EXHAUSTED in trailers", inTrailers(8, ["half an answer"], ["grpc-retry-pushback-ms", "60000"])],
  ["HTTP 429 instead of gRPC", PLAIN_HTTP],
] as const)
  test(`an endpoint that answers with ${what} gets fewer calls for as long as it says, and then more again`, async () => {
    await inScope(async (scope) => {
      const good = await ScriptedServer.start(scope, inTrailers(0));
      const busy = await ScriptedServer.start(scope, act);
      const upstream = { discovery: "static", endpoints: [good.address, busy.address], balancer: "roundRobin" };
      const config = { upstreams: { up: { ...upstream, loadBias: { maxHold: "20s" } } } };
      const sidecar = await scope.sidecar(config);
      const caller = await connectPeer(scope, sidecar.outbound);
      const call = async (): Promise<void> => void (await caller.answer(caller.request(callHead("up"), true)));
      while (busy.requests.length === 0) await call();
      assert.deepEqual(due(sidecar), [
        { state: "up", weight: 1 },
        { state: "limited", weight: 0.5 },
      ]);
      assert.equal(sampleValue(await sidecar.metrics(), "outrigger_load_bias_refusals_total", { upstream: "up" }), 1);
      const states = { upstream: "up", state: "limited" };
      assert.equal(sampleValue(await sidecar.metrics(), "outrigger_endpoints", states), 1);
      // A reload that does not concern it leaves it what it has.
      const reloaded = { upstreams: { up: { ...config.upstreams.up, timeout: "3s" } } };
      assert.equal((await sidecar.runtime.apply(offered(sidecar, reloaded))).kind, "applied");
      assert.equal(due(sidecar)[1]?.weight, 0.5);
      sidecar.clock.jump(19_000);
      assert.equal(due(sidecar)[1]?.weight, 0.5, "held");
      sidecar.clock.jump(12_000);
      assert.deepEqual(due(sidecar)[1], { state: "up", weight: 1 });
    });
  });

test("an application of HTTP/1.1 that answers 429 gets less by its retry-after, too", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.writeHead(429, { "retry-after": "15" }).end());
    const upstream = { loadBias: {} };
    const { address, outbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address], upstream });
    assert.equal((await ask(address)).status, 429);
    await eventually(
      () => due(outbound)[0]?.state === "limited",
      () => "the end of the call",
    );
    outbound.clock.jump(14_000);
    assert.equal(due(outbound)[0]?.weight, 0.5);
  });
});
