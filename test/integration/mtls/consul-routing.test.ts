import assert from "node:assert/strict";
import { test } from "node:test";
import { startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { eventually, inScope, type Sidecar } from "../../support/with-proxy.ts";
import { grpcDefaults, resolver } from "../consul-world.ts";
import { call, echo } from "./mesh.ts";

const mtls = { mode: "strict", source: { consul: {} } };

test(
  "over TLS whoever is called under a redirect, a failover or another name in Consul has to be that service",
  skipUnless("consul"),
  () =>
    inScope(async (scope) => {
      const consul = await startConsul();
      scope.onEnd(async () => void (await consul.stop()));
      const discovery = { consul: { address: consul.address } };
      const service = async (name: string): Promise<Sidecar> => {
        const { address } = await echo(scope);
        const drain = { notice: "0s", grace: "100ms" };
        return await scope.sidecar({ discovery, mtls, drain, service: { name, address } });
      };
      const up = await service("up");
      const other = await service("other");
      const entries = async (...list: object[]): Promise<void> => {
        for (const entry of list) assert.equal((await consul.request("PUT", "/v1/config", entry)).status, 200);
      };
      await entries(
        ...grpcDefaults("up", "other", "moved", "spare"),
        resolver("moved", { Redirect: { Service: "other" } }),
        resolver("spare", { Failover: { "*": { Service: "other" } } }),
      );
      const caller = await scope.sidecar({
        identity: { name: "caller" },
        discovery,
        mtls,
        upstreams: {
          moved: { routing: "consul" },
          spare: { routing: "consul" },
          renamed: { consul: { service: "other" } },
          gone: { failover: ["renamed"] },
        },
      });
      await caller.runtime.whenReady();
      const outcomes = async (): Promise<string[]> => {
        const found: string[] = [];
        for (const authority of ["moved", "spare", "renamed", "gone"]) {
          const { error, reason } = await call(caller.outbound, {}, authority);
          found.push(error === undefined ? "OK" : reason);
        }
        return found;
      };
      let last: string[] = [];
      await eventually(
        async () => {
          last = await outcomes();
          return last.join() === "OK,OK,OK,OK";
        },
        () => `calls to be answered, and not ${last.join()}`,
        15_000,
      );
      assert.equal(up.calls.length, 0);
      assert.ok(other.calls.length >= 4);
      const identities = [...caller.runtime.upstreams.clusters()].flatMap((cluster) =>
        cluster.stats().flatMap(({ connections }) => connections.map(({ identity }) => identity)),
      );
      for (const identity of identities) assert.match(`${identity}`, /\/svc\/other$/);

      // Somebody puts an instance of another service into the catalog as if it were one of this.
      const [, port] = up.inbound.split(":");
      const impostor = {
        ...{ ID: "impostor", Name: "other", Address: "127.0.0.1", Port: Number(port) },
        ...{ Connect: { Native: true }, Meta: { mtls: "strict" } },
      };
      await other.runtime.drain();
      assert.equal((await consul.request("PUT", "/v1/agent/service/register", impostor)).status, 200);
      await eventually(
        async () => {
          last = await outcomes();
          // Where it is a failover that is refused, the upstream itself still is the one without an instance.
          return last.join() === "TLS_WRONG_IDENTITY,NO_ENDPOINTS,TLS_WRONG_IDENTITY,NO_ENDPOINTS";
        },
        () => `the impostor to be refused, and not ${last.join()}`,
        15_000,
      );
      assert.equal(up.calls.length, 0);
    }),
);
