import assert from "node:assert/strict";
import { test } from "node:test";
import { HealthClient } from "../../control/health-client.ts";
import { TestCa } from "../../support/certificates.ts";
import { GrpcServer } from "../../support/grpc-service.ts";
import { startSidecarProcess } from "../../support/sidecar-process.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { call, echo, filesOf } from "./mesh.ts";

async function caller(scope: Scope, ca: TestCa, name: string, inbound: string): Promise<Sidecar> {
  const { files } = await filesOf(scope, ca, name);
  return await scope.sidecar({
    identity: { name },
    mtls: { mode: "strict", source: { files } },
    upstreams: { up: { discovery: "static", endpoints: [inbound] } },
  });
}

test("a rate limit by the caller's identity is each caller's own, whatever they say of themselves", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const { address } = await echo(scope);
    const { files } = await filesOf(scope, ca, "up");
    const inbound = await scope.sidecar({
      service: { name: "up", address },
      mtls: { mode: "strict", source: { files } },
      rateLimits: [{ name: "per-caller", direction: "inbound", key: ["identity"], limit: "1/h", burst: 2 }],
    });
    const [one, other] = [
      await caller(scope, ca, "one", inbound.inbound),
      await caller(scope, ca, "other", inbound.inbound),
    ];
    const reasons: string[] = [];
    for (let at = 0; at < 3; at++) reasons.push((await call(one.outbound)).reason);
    assert.deepEqual(reasons, ["", "", "RATE_LIMIT"]);
    assert.equal((await call(other.outbound)).reason, "");
    assert.equal((await call(one.outbound, { "x-forwarded-client-cert": "URI=spiffe://x/y" })).reason, "RATE_LIMIT");
  });
});

test("kubelet's probes of a strict sidecar go to the probe port, in plaintext, and hear the truth of the application", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const { files } = await filesOf(scope, ca, "up");
    const application = await GrpcServer.start({});
    const sidecar = await startSidecarProcess({
      service: { name: "up", address: application.address, health: "tcp" },
      mtls: { mode: "strict", source: { files } },
    });
    scope.onEnd(async () => void (await sidecar.process.stop()));
    const [host = "", port = ""] = sidecar.address("probe").split(":");
    const client = new HealthClient({ kind: "tcp", host, port: Number(port) });
    scope.onEnd(() => client.close());
    await eventually(
      async () => (await client.check("")) === "SERVING",
      () => "SERVING",
      15_000,
    );
    assert.equal((await fetch(`http://${host}:${port}/ready`)).status, 200);
    application.stop();
    await eventually(
      async () => (await client.check("")) === "NOT_SERVING",
      () => "NOT_SERVING",
      15_000,
    );
    // The probe of the inbound port is what a strict sidecar refuses.
    const [, inbound = ""] = sidecar.address("inbound").split(":");
    const direct = new HealthClient({ kind: "tcp", host, port: Number(inbound) });
    scope.onEnd(() => direct.close());
    assert.match(await direct.check(""), /^14 /);
  });
});
