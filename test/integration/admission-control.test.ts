import assert from "node:assert/strict";
import { test } from "node:test";
import { describePolicies } from "../../src/runtime/upstreams/describe-policies.ts";
import { offered } from "../runtime/offered.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { type Act, ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { inScope } from "../support/with-proxy.ts";

test("a service that accepts few calls is spared most of the others, by reload too, and what was counted stays", async () => {
  await inScope(async (scope) => {
    let taken = 0;
    const act: Act = (peer, stream) => trailersOnly(taken++ < 20 ? 0 : 8)(peer, stream);
    const server = await ScriptedServer.start(scope, act);
    const upstreams = (admissionControl?: object) => {
      const up = { discovery: "static", endpoints: [server.address], outlierDetection: { mode: "disabled" } };
      return { up: admissionControl === undefined ? up : { ...up, admissionControl } };
    };
    const sidecar = await scope.sidecar({ upstreams: upstreams({ minimumRequests: 10, window: "10m" }) });
    const caller = await connectPeer(scope, sidecar.outbound);
    const reasons: (string | undefined)[] = [];
    const calls = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        const { head } = await caller.answer(caller.request(callHead("up"), true));
        reasons.push(fieldOf(head, "outrigger-reason"));
      }
    };
    await calls(500);
    const refused = reasons.filter((reason) => reason === "ADMISSION").length;
    // Of 500 calls 20 are accepted; up to 40 all are sent, and of the others a fifth and those of the way there.
    assert.ok(refused > 270 && refused < 400, `${refused} were refused`);
    assert.equal(server.requests.length, 500 - refused);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_admission_refused_total", { upstream: "up" }), refused);
    assert.equal(sampleValue(metrics, "outrigger_admission_refused_share", { upstream: "up" }), 0.8);
    const { policies } = sidecar.runtime.upstreams;
    const [answer] = describePolicies(policies, sidecar.clock);
    assert.deepEqual(answer?.admissionControl, { requests: 500, accepted: 20, refusing: 0.8, refused });

    const milder = upstreams({ minimumRequests: 10, window: "10m", maxRefused: "10%" });
    await sidecar.runtime.apply(offered(sidecar, { upstreams: milder }));
    assert.equal(policies.of("up")?.admission?.state(sidecar.clock.now()).accepted, 20);
    await sidecar.runtime.apply(offered(sidecar, { upstreams: upstreams() }));
    reasons.length = 0;
    await calls(50);
    assert.deepEqual([...new Set(reasons)], [undefined], "without it all are sent");
  });
});
