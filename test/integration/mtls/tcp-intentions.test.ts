import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { skipUnless } from "../../support/real-parts.ts";
import { closed, connectTo, tcpServer } from "../../support/socket-mesh.ts";
import { eventually, inScope } from "../../support/with-proxy.ts";
import { agent, found, intend } from "./mesh.ts";

test(
  "intentions of a real Consul decide about connections of TCP by their source, also of those that stand",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
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
      const decide = async (source: object): Promise<void> => {
        const protocol = "Permissions" in source ? "http" : "tcp";
        await intend(consul, [{ Name: "web", ...source }], { protocol });
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

      await decide({ Action: "allow" });
      const standing = await open(web);
      await once(standing, "data");
      const neighbour = await open(other);
      await once(neighbour, "data");

      await decide({ Action: "deny" });
      await closed(standing);
      await closed(await open(web));
      await eventually(
        () => inbound.calls.filter(({ reason }) => reason === "AUTHZ_DENIED").length === 2,
        () => `two refusals: ${JSON.stringify(inbound.calls)}`,
      );
      neighbour.write("b");
      await once(neighbour, "data");

      // What permissions would see of requests, nobody can see here.
      await decide({ Permissions: [{ Action: "allow", HTTP: { PathPrefix: "/" } }] });
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
