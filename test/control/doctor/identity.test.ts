import assert from "node:assert/strict";
import { test } from "node:test";
import { checkIdentity } from "../../../src/control/doctor/identity.ts";
import { idOf, TestCa } from "../../support/certificates.ts";
import { startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { WorkloadApi } from "../../support/workload-api.ts";
import { clockOff, found, wrong } from "./surroundings.ts";

const service = { name: "app", address: "127.0.0.1:1" };
const DAY = 24 * 3_600_000;

test(
  "a certificate of Consul Connect is asked for and looked at; without the right to one it is told what to add",
  skipUnless("consul"),
  async () => {
    const consul = await startConsul({ acl: true });
    try {
      const config = (token: string, name = "app") => ({
        service: { ...service, name, advertise: "127.0.0.1:15006" },
        discovery: { consul: { address: consul.address, token } },
        mtls: { mode: "strict", source: { consul: {} } },
      });
      const good = await found(checkIdentity, config(consul.token ?? ""));
      assert.deepEqual(wrong(good), []);
      assert.ok(good.some(({ evidence }) => /it is spiffe:\/\/[0-9a-f-]+\.consul\/.*\/svc\/app$/.test(evidence)));
      const off = await found(checkIdentity, config(consul.token ?? ""), { clock: clockOff(400 * DAY) });
      assert.match(wrong(off).join(), /error: mtls\.source\.consul is in force .* it has expired/);
      // Of a service that the agent has no certificate of yet: one that it has it gives to anybody who asks.
      await consul.request("PUT", "/v1/acl/policy", { Name: "reader", Rules: 'service_prefix "" { policy = "read" }' });
      const { body } = await consul.request("PUT", "/v1/acl/token", { Policies: [{ Name: "reader" }] });
      const bad = await found(checkIdentity, config(String(Object(body).SecretID), "other"));
      assert.match(wrong(bad).join(), /error: mtls\.source\.consul gives no certificate: .*403/);
      assert.match(bad[0]?.remedy ?? "", /service "other" \{ policy = "write" \}/);
    } finally {
      await consul.kill();
    }
  },
);

test("a SPIFFE agent is asked; one that is not there is an error with its socket", async (t) => {
  const api = await WorkloadApi.start();
  t.after(() => api.stop());
  const ca = await TestCa.make();
  const own = idOf("app");
  const config = (socket: string) => ({
    service,
    mtls: { mode: "strict", source: { spiffe: { socket } }, identity: own },
  });
  api.serve([{ id: own, material: await ca.material("app", { uris: [own] }) }]);
  const good = await found(checkIdentity, config(api.socket));
  assert.deepEqual(wrong(good), []);
  assert.ok(good.some(({ evidence }) => evidence.endsWith(`it is ${own}`)));
  const bad = wrong(await found(checkIdentity, config("/nowhere/agent.sock")));
  assert.match(bad.join(), /error: mtls\.source\.spiffe gives no certificate: .*nowhere/);
});

test("nobody is asked where no certificate is needed", async () => {
  assert.deepEqual(await found(checkIdentity, { service }), []);
});
