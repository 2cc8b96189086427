import assert from "node:assert/strict";
import { test } from "node:test";
import { type Consul, startConsul } from "../../support/consul.ts";
import { freePort } from "../../support/ports.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { consulProxy } from "./consul-proxy.ts";
import { call, echo, found } from "./mesh.ts";

async function agent(scope: Scope): Promise<Consul> {
  const consul = await startConsul();
  scope.onEnd(async () => void (await consul.stop()));
  return consul;
}

const mtls = { mode: "strict", source: { consul: {} } };

function sidecarOf(scope: Scope, { address }: Consul, more: object): Promise<Sidecar> {
  return scope.sidecar({ discovery: { consul: { address } }, mtls, ...more });
}

test(
  "two sidecars with certificates of a real Consul find each other as Connect natives",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const application = await echo(scope);
      const inbound = await sidecarOf(scope, consul, { service: { name: "up", address: application.address } });
      const outbound = await sidecarOf(scope, consul, { identity: { name: "caller" }, upstreams: { up: {} } });
      await found(outbound);
      assert.equal((await call(outbound.outbound)).error, undefined);
      assert.equal((await inbound.call()).peer_service, "caller");
      const own = inbound.runtime.mtls.credentials?.own.id.text;
      assert.match(`${own}`, /^spiffe:\/\/[0-9a-f-]+\.consul\/ns\/default\/dc\/dc1\/svc\/up$/);
      const { body } = await consul.request("GET", "/v1/health/connect/up");
      const [{ Service }] = body as [{ Service: { Connect: unknown; Meta: Record<string, string> } }];
      assert.deepEqual(Service.Connect, { Native: true });
      assert.equal(Service.Meta.mtls, "strict");
    });
  },
);

test("Consul's own proxy calls a strict sidecar, which knows whose proxy it is", skipUnless("consul"), async () => {
  await inScope(async (scope) => {
    const consul = await agent(scope);
    const application = await echo(scope);
    const inbound = await sidecarOf(scope, consul, { service: { name: "up", address: application.address } });
    await eventually(
      async () => JSON.stringify((await consul.request("GET", "/v1/health/connect/up?passing")).body) !== "[]",
      () => "the sidecar to be found",
    );
    const port = await freePort();
    await consulProxy(scope, consul, port, "-service=web", `-upstream=up:127.0.0.1:${port}`);
    assert.equal((await call(`127.0.0.1:${port}`)).error, undefined);
    assert.equal((await inbound.call()).peer_service, "web");
    assert.match(String(application.seen[0]?.get("x-forwarded-client-cert")[0]), /;URI=spiffe:.*\/svc\/web$/);
  });
});

test(
  "a strict sidecar calls a service behind Consul's own proxy, and takes it for no other",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const application = await echo(scope);
      const [, appPort = ""] = application.address.split(":");
      const registered = await consul.request("PUT", "/v1/agent/service/register", {
        Name: "up",
        Port: Number(appPort),
        Address: "127.0.0.1",
      });
      assert.equal(registered.status, 200);
      const port = await freePort();
      const listen = ["-service=up", `-service-addr=${application.address}`, `-listen=127.0.0.1:${port}`];
      await consulProxy(scope, consul, port, ...listen, "-register");
      const outbound = await sidecarOf(scope, consul, {
        identity: { name: "caller" },
        upstreams: {
          up: {},
          other: { discovery: "static", endpoints: [`127.0.0.1:${port}`] },
        },
      });
      await found(outbound);
      assert.equal((await call(outbound.outbound)).error, undefined);
      assert.equal((await call(outbound.outbound, {}, "other")).reason, "TLS_WRONG_IDENTITY");
      assert.equal(application.seen.length, 1);
    });
  },
);
