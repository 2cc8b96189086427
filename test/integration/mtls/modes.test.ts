import assert from "node:assert/strict";
import { test } from "node:test";
import { idOf } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { inScope } from "../../support/with-proxy.ts";
import { call, mesh } from "./mesh.ts";

test("between two strict sidecars a call goes by TLS, and each knows whom it talks to", async () => {
  await inScope(async (scope) => {
    const { inbound, outbound, ...made } = await mesh(scope);
    const { error } = await made.call();
    assert.equal(error, undefined);
    const [accepted] = inbound.runtime.listeners.inbound?.acceptor.connections ?? [];
    assert.equal(accepted?.caller?.identity, idOf("caller"));
    const record = await inbound.call();
    assert.equal(record.peer_service, "caller");
    const metrics = await outbound.metrics();
    assert.equal(sampleValue(metrics, "outrigger_tls_handshakes_total", { direction: "outbound", result: "ok" }), 1);
  });
});

test("a plaintext caller of a strict sidecar is refused", async () => {
  await inScope(async (scope) => {
    const { inbound } = await mesh(scope);
    const { error } = await call(inbound.inbound);
    assert.equal(error?.code, 14);
    assert.equal(inbound.calls.length, 0);
  });
});
