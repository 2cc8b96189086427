import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { skipUnless } from "../../support/real-parts.ts";
import { ask, closed, connectTo, echoFrames, httpServer } from "../../support/socket-mesh.ts";
import { eventually, inScope } from "../../support/with-proxy.ts";
import { agent, found, intend } from "./mesh.ts";

const UPGRADE = [
  "GET /chat HTTP/1.1",
  "host: up",
  "connection: Upgrade",
  "upgrade: websocket",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
  "",
  "",
].join("\r\n");

const READING = { Action: "allow", HTTP: { PathPrefix: "/public/", Methods: ["GET"] } };
const CHAT = { Action: "allow", HTTP: { PathExact: "/chat" } };

test(
  "intentions of a real Consul decide about requests of HTTP/1.1 and WebSockets by their permissions, also of those that stand",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const application = await httpServer(scope, (_request, response) => response.end("ok"));
      application.server.on("upgrade", (request, socket) => {
        echoFrames(request, socket);
        socket.on("end", () => socket.end());
      });
      const discovery = { consul: { address: consul.address } };
      const mtls = { mode: "strict", source: { consul: {} } };
      const inbound = await scope.sidecar({
        discovery,
        mtls,
        service: { name: "up", address: application.address, protocol: "http1" },
        authorization: { intentions: "consul", openCalls: "end" },
      });
      const caller = async (name: string): Promise<string> => {
        const upstreams = { up: { protocol: "http1", listen: "127.0.0.1:0" } };
        const sidecar = await scope.sidecar({ discovery, mtls, identity: { name }, upstreams });
        await found(sidecar);
        return sidecar.listen("up");
      };
      const web = await caller("web");
      const decide = async (...Permissions: readonly object[]): Promise<void> => {
        const before = inbound.runtime.intentions.current.current;
        await intend(consul, [{ Name: "web", Permissions }], { protocol: "http" });
        await eventually(
          () => inbound.runtime.intentions.current.current !== before,
          () => "the intention",
          20_000,
        );
      };
      const status = async (path: string, method = "GET"): Promise<number> => (await ask(web, { path, method })).status;
      const chat = async (): Promise<Socket> => {
        const socket = await connectTo(scope, web);
        socket.once("end", () => socket.end());
        socket.write(UPGRADE);
        return socket;
      };

      await decide(READING, CHAT, { Action: "deny", HTTP: { PathPrefix: "/" } });
      assert.equal(await status("/public/a?b=/../c"), 200);
      for (const path of [
        "/private",
        "/public/../private",
        "/public/%2e%2e/private",
        "/public/..;/private",
        "//private",
      ])
        assert.equal(await status(path), 403, path);
      assert.equal(await status("/public/a", "DELETE"), 403);
      const refused = await ask(web, { path: "/private" });
      assert.equal(refused.headers["outrigger-reason"], "AUTHZ_DENIED");
      assert.doesNotMatch(refused.body, /intention|permission/, "the caller does not read which rule it was");
      await eventually(
        () => inbound.calls.some(({ detail }) => /intention.*web/.test(String(detail))),
        () => `the log of the called side names it: ${JSON.stringify(inbound.calls.at(-1))}`,
      );

      const standing = await chat();
      assert.match(String((await once(standing, "data"))[0]), /^HTTP\/1\.1 101 /);
      await decide(READING, { Action: "deny", HTTP: { PathPrefix: "/" } });
      await closed(standing);
      const [answer] = await once(await chat(), "data");
      assert.match(String(answer), /^HTTP\/1\.1 403 /);
      assert.equal(await status("/public/a"), 200);
    });
  },
);
