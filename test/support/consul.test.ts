import assert from "node:assert/strict";
import { test } from "node:test";
import { startConsul } from "./consul.ts";
import { skipUnless } from "./real-parts.ts";

test("an agent takes a registration, and has forgotten it after a restart", skipUnless("consul"), async () => {
  const consul = await startConsul();
  try {
    const put = await consul.request("PUT", "/v1/agent/service/register", { Name: "user", Port: 1 });
    assert.equal(put.status, 200);
    const before = await consul.request("GET", "/v1/agent/services");
    assert.deepEqual(Object.keys(Object(before.body)), ["user"]);

    await consul.restart();

    const after = await consul.request("GET", "/v1/agent/services");
    assert.deepEqual(after.body, {});
  } finally {
    await consul.stop();
  }
});

test(
  "an agent with ACLs refuses a request without the token and serves one with it",
  skipUnless("consul"),
  async () => {
    const consul = await startConsul({ acl: true, datacenter: "east" });
    try {
      assert.ok(consul.token);
      const self = await consul.request("GET", "/v1/agent/self");
      assert.equal(self.status, 200);
      assert.match(JSON.stringify(self.body), /"Datacenter":"east"/);
      const stranger = await fetch(`${consul.address}/v1/agent/self`, { headers: { connection: "close" } });
      await stranger.text();
      assert.equal(stranger.status, 403);
    } finally {
      await consul.kill();
    }
  },
);
