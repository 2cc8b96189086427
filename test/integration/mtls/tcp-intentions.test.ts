import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { closed, connectTo, tcpServer } from "../../support/socket-mesh.ts";
import { eventually, inScope } from "../../support/with-proxy.ts";
import { found } from "./mesh.ts";

test(
  "intentions of a real Consul decide about connections of TCP by their source, also of those that stand",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await startConsul();
      scope.onEnd(async () => void (await consul.stop().catch(() => undefined)));
      const application = await tcpServer(scope, (socket) => void socket.pipe(socket));
      const discovery = { consul: { address: consul.address } };
      const mtls = { mode: "strict", source: { consul: {} } };
      const inbound = await scope.sidecar({
        discovery,
        mtls,
        service: { name: "up", address: application.address, protocol: "tcp" },
        authorization: { intentions: "consul", openCalls: "end" },
      });
      const caller = async (name: string): Promise<string> => {
        const upstreams = { up: { protocol: "tcp", listen: "127.0.0.1:0" } };
        const sidecar = await scope.sidecar({ discovery, mtls, identity: { name }, upstreams });
        await found(sidecar);
        return sidecar.listen("up");
      };
      const [web, other] = [await caller("web"), await caller("other")];
      const intend = async (source: object): Promise<void> => {
        const Sources = [{ Name: "web", ...source }];
        for (const entry of [
          { Kind: "service-defaults", Name: "up", Protocol: "Permissions" in source ? "http" : "tcp" },
          { Kind: "service-intentions", Name: "up", Sources },
        ]) {
          const { status, body } = await consul.request("PUT", "/v1/config", entry);
          assert.equal(status, 200, String(body));
        }
        const wanted = "Action" in source ? source.Action : "permissions";
        const known = (): string => {
          const does = inbound.runtime.intentions.current.current?.intentions[0]?.does;
          return does === undefined ? "none" : "action" in does ? does.action : "permissions";
        };
        await eventually(
          () => known() === wanted,
          () => `the intention ${JSON.stringify(source)}, not ${known()}`,
        );
      };
      const open = async (address: string): Promise<Socket> => {
        const socket = await connectTo(scope, address);
        socket.write("a");
        return socket;
      };

      await intend({ Action: "allow" });
      const standing = await open(web);
      await once(standing, "data");
      const neighbour = await open(other);
      await once(neighbour, "data");

      await intend({ Action: "deny" });
      await closed(standing);
      await closed(await open(web));
      await eventually(
        () => inbound.calls.filter(({ reason }) => reason === "AUTHZ_DENIED").length === 2,
        () => `two refusals: ${JSON.stringify(inbound.calls)}`,
      );
      neighbour.write("b");
      await once(neighbour, "data");

      // What permissions would see of requests, nobody can see here.
      await intend({ Permissions: [{ Action: "allow", HTTP: { PathPrefix: "/" } }] });
      await closed(await open(web));
      await eventually(
        () => inbound.calls.some(({ detail }) => String(detail).includes("whose permissions are for HTTP")),
        () => "a refusal because of permissions",
      );
      neighbour.write("c");
      await once(neighbour, "data");
    });
  },
);
