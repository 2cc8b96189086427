import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { offered } from "../../runtime/offered.ts";
import { type Asked, AuthorizationServer, type Said } from "../../support/authorization-server.ts";
import { idOf, TestCa } from "../../support/certificates.ts";
import { parseMetrics, sampleValue } from "../../support/prometheus.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { startSidecarProcess } from "../../support/sidecar-process.ts";
import { closed, connectTo, socketMesh, tcpServer } from "../../support/socket-mesh.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../../support/with-proxy.ts";
import { filesOf } from "../mtls/mesh.ts";
import { tcpEnvoyWithService } from "./envoy.ts";

/** A server that says back what it hears, and how many connections it has had. */
async function echoServer(scope: Scope): Promise<{ readonly address: string; readonly had: () => number }> {
  let had = 0;
  const { address } = await tcpServer(scope, (socket) => {
    had++;
    socket.pipe(socket);
  });
  return { address, had: () => had };
}

async function startService(scope: Scope): Promise<AuthorizationServer> {
  const service = new AuthorizationServer();
  await service.start();
  scope.onEnd(() => service.stop());
  return service;
}

/** Says something and waits for it to come back, or for the end. */
async function echoed(socket: Socket): Promise<string> {
  const gone = closed(socket).then(() => "closed");
  const heard = once(socket, "data").then(
    ([chunk]) => String(chunk),
    () => "closed",
  );
  socket.write("hello");
  return Promise.race([heard, gone]);
}

async function counted(sidecar: Sidecar, result: string): Promise<number> {
  return sampleValue(await sidecar.metrics(), "outrigger_authorization_service_calls_total", { result }) ?? -1;
}

test("the service is asked once about a connection, before the application has any of it, and what it says holds", async () => {
  await inScope(async (scope) => {
    const application = await echoServer(scope);
    const service = await startService(scope);
    const external = { address: service.address, timeout: "10s", context: { place: "here" } };
    const { inbound, outbound, address } = await socketMesh(scope, {
      protocol: "tcp",
      mode: "strict",
      applications: [application.address],
      inbound: { authorization: { default: "allow", external } },
    });
    const standing = await connectTo(scope, address);
    assert.equal(await echoed(standing), "hello");
    const [asked] = service.asked;
    assert.equal(asked?.source.principal, idOf("caller"));
    assert.equal(asked?.source.service, "caller");
    assert.match(String(asked?.source.address), /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([asked?.destination.principal, asked?.destination.service], [idOf("up"), "up"]);
    assert.equal(asked?.destination.address, inbound.inbound);
    assert.deepEqual([asked?.context, asked?.method, asked?.headers], [{ place: "here" }, "", {}]);

    service.answer = () => ({ code: 7, message: "not at night", denied: { status: 401, body: "who?" } });
    await closed(await connectTo(scope, address));
    const refused = await inbound.call();
    assert.equal(refused.reason, "AUTHZ_REFUSED");
    assert.equal(
      refused.detail,
      `${idOf("caller")}: the authorization service ${service.address} says PERMISSION_DENIED: not at night`,
    );
    assert.equal((await outbound.call()).reason, "AUTHZ_REFUSED");
    assert.deepEqual([application.had(), service.asked.length], [1, 2], "one sidecar's word is that of all");
    assert.deepEqual([await counted(inbound, "allowed"), await counted(inbound, "denied")], [1, 1]);
    const { explanations } = inbound.runtime.services;
    const [latest] = explanations.latest(1, false);
    const said = explanations.find(latest?.id ?? "")[0]?.steps.map(({ text }) => text) ?? [];
    assert.ok(
      said.some((text) => text.includes("authorization service") && text.includes("not at night")),
      said.join("\n"),
    );
    // Who was let in stays.
    assert.equal(await echoed(standing), "hello");
  });
});

for (const onFailure of ["deny", "allow"] as const)
  test(`while it does not answer in time or is gone connections are for onFailure: ${onFailure}`, async () => {
    await inScope(async (scope) => {
      const application = await echoServer(scope);
      const service = await startService(scope);
      const config: SidecarConfig = {
        service: { name: "up", address: application.address, protocol: "tcp" },
        authorization: { default: "allow", external: { address: service.address, timeout: "300ms", onFailure } },
      };
      const sidecar = await scope.sidecar(config);
      const expected = onFailure === "deny" ? "closed" : "hello";
      const ways: readonly (readonly [string, () => void])[] = [
        ["no answer", () => (service.answer = () => "nothing")],
        ["an error", () => (service.answer = () => ({ error: 14 }))],
        ["nonsense", () => (service.answer = () => ({ octets: Buffer.from([255, 255]) }))],
        ["nobody there", () => service.stop()],
      ];
      for (const [what, arrange] of ways) {
        arrange();
        assert.equal(await echoed(await connectTo(scope, sidecar.inbound)), expected, what);
      }
      const result = onFailure === "deny" ? "failedDenied" : "failedAllowed";
      assert.equal(await counted(sidecar, result), ways.length);
      assert.equal(application.had(), onFailure === "deny" ? 0 : ways.length);
      if (onFailure === "deny") {
        await eventually(
          () => sidecar.calls.filter(({ reason }) => reason === "AUTHZ_UNAVAILABLE").length === ways.length,
          () => JSON.stringify(sidecar.calls),
        );
        assert.match(String(sidecar.calls[0]?.detail), /does not answer: /);
      }
      assert.equal(sidecar.runtime.services.external.pending, 0);
      assert.ok(sidecar.lines.some(({ msg }) => msg === "the authorization service does not answer"));

      // In shadow nobody waits for it; a reload says so.
      const shadow = {
        ...config,
        authorization: { default: "allow", external: { address: service.address, mode: "shadow" } },
      };
      assert.equal((await sidecar.runtime.apply(offered(sidecar, shadow))).kind, "applied");
      assert.equal(await echoed(await connectTo(scope, sidecar.inbound)), "hello");
      await eventually(
        async () => (await counted(sidecar, "shadowFailed")) === 1,
        () => "a shadow failure",
      );
    });
  });

test("rules decide first; about a connection that they refuse nobody is asked", async () => {
  await inScope(async (scope) => {
    const application = await echoServer(scope);
    const service = await startService(scope);
    const sidecar = await scope.sidecar({
      service: { name: "up", address: application.address, protocol: "tcp" },
      authorization: {
        default: "allow",
        deny: [{ name: "loopback", addresses: ["127.0.0.0/8"] }],
        external: { address: service.address, timeout: "10s" },
      },
    });
    assert.equal(await echoed(await connectTo(scope, sidecar.inbound)), "closed");
    assert.equal((await sidecar.call()).reason, "AUTHZ_DENIED");
    assert.equal(service.asked.length, 0);
  });
});

test("in every worker connections are for the service", async () => {
  await inScope(async (scope) => {
    const application = await echoServer(scope);
    const service = await startService(scope);
    const sidecar = await startSidecarProcess({
      workers: 2,
      service: { name: "up", address: application.address, protocol: "tcp" },
      authorization: { default: "allow", external: { address: service.address, timeout: "10s" } },
      log: { access: "none" },
    });
    scope.onEnd(async () => void (await sidecar.process.stop()));
    const all = async (): Promise<string[]> => {
      const sockets = await Promise.all(Array.from({ length: 16 }, () => connectTo(scope, sidecar.address("inbound"))));
      return Promise.all(sockets.map(echoed));
    };
    assert.deepEqual(new Set(await all()), new Set(["hello"]));
    service.answer = () => ({ code: 7 });
    assert.deepEqual(new Set(await all()), new Set(["closed"]));
    const families = parseMetrics(String(await sidecar.admin("/metrics")));
    const sum = (result: string) => sampleValue(families, "outrigger_authorization_service_calls_total", { result });
    assert.deepEqual([sum("allowed"), sum("denied")], [16, 16]);
  });
});

/** What Envoy and this sidecar should say alike. */
function comparable({ source, destination, method, path, headers, time, sni }: Asked): object {
  return { caller: source.principal, own: destination.principal, method, path, headers, time, sni };
}

test(
  "the service is told of a connection what Envoy tells it, and its answers come to the same",
  skipUnless("envoy"),
  async () => {
    await inScope(async (scope) => {
      const application = await echoServer(scope);
      const service = await startService(scope);
      const ca = await TestCa.make();
      const [own, web] = [await ca.issue("up"), await ca.issue("web")];
      const sidecar = await scope.sidecar({
        service: { name: "up", address: application.address, protocol: "tcp" },
        mtls: { mode: "strict", source: { files: (await filesOf(scope, ca, "up")).files } },
        authorization: { default: "allow", external: { address: service.address, timeout: "10s" } },
      });
      const tls = { own, authority: ca.pem };
      const envoy = await tcpEnvoyWithService(scope, application.address, service.address, tls, { timeout: "10s" });
      const through = async (address: string): Promise<string> => {
        const [host, port] = address.split(":");
        const socket = connectTls({
          host: host ?? "",
          port: Number(port),
          servername: "up.test",
          ca: ca.pem,
          cert: web.certificate,
          key: web.key,
          ALPNProtocols: ["outrigger-tcp"],
          checkServerIdentity: () => undefined,
        });
        socket.on("error", () => {});
        scope.onEnd(() => void socket.destroy());
        await Promise.race([once(socket, "secureConnect"), closed(socket)]);
        const said = await echoed(socket);
        // The word by which a sidecar knows whether it was let in.
        if (!said.startsWith("+") && !said.startsWith("-")) return said;
        return said.startsWith("-") ? "closed" : "hello";
      };
      const answers: Readonly<Record<string, Said>> = {
        "lets it in": { code: 0 },
        "lets it in with fields, of which there are none": {
          code: 0,
          ok: { fields: [{ name: "x-a", value: "1" }], removed: ["x-b"], answer: [{ name: "x-c", value: "1" }] },
        },
        "says no": { code: 7 },
        "says no with words": { code: 16, message: "no", denied: { status: 401, body: "who?" } },
        fails: { error: 13 },
        "talks nonsense": { octets: Buffer.from([255, 255, 255]) },
      };
      for (const [title, answer] of Object.entries(answers)) {
        service.answer = () => answer;
        const theirs = await through(envoy);
        assert.equal(await through(sidecar.inbound), theirs, `the service ${title}`);
        assert.equal(theirs, title.startsWith("lets it in") ? "hello" : "closed");
      }
      assert.equal(service.asked.length, 2 * Object.keys(answers).length);
      const [theirs, ours] = service.asked;
      assert.ok(theirs !== undefined && ours !== undefined);
      assert.deepEqual(comparable(ours), comparable(theirs));
      assert.deepEqual([theirs.destination.address, ours.destination.address], [envoy, sidecar.inbound]);
      assert.deepEqual([ours.source.service, theirs.source.service], ["web", ""], "more is known here");
      assert.deepEqual([ours.source.principal, ours.sni, ours.time], [idOf("web"), "up.test", 0]);
    });
  },
);
