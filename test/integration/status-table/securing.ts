import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { offered } from "../../runtime/offered.ts";
import { TestCa } from "../../support/certificates.ts";
import { freePort } from "../../support/ports.ts";
import { callHead, connectPeer } from "../../support/raw-call.ts";
import { RawServer } from "../../support/raw-peer.ts";
import { TlsServer } from "../../support/tls-server.ts";
import { eventually, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { filesOf, mesh } from "../mtls/mesh.ts";
import type { StatusCase } from "./case.ts";

const out = { status: 14, direction: "outbound", upstream: "up" } as const;

/** Calls whose connection is not secure enough. */
export const securing: readonly StatusCase[] = [
  {
    title: "a server that speaks no TLS",
    expected: { ...out, reason: "TLS_HANDSHAKE_FAILED", message: /^no TLS connection to 127\.0\.0\.1:\d+: / },
    provoke: async (scope) => {
      const server = await RawServer.listen();
      scope.onEnd(() => server.close());
      return await callOnce(scope, await caller(scope, await TestCa.make(), server.address));
    },
  },
  {
    title: "a certificate of another authority",
    expected: { ...out, reason: "TLS_UNTRUSTED", message: /^no TLS connection to .*: / },
    provoke: async (scope) => {
      const { inbound } = await mesh(scope);
      return await callOnce(scope, await caller(scope, await TestCa.make(), inbound.inbound));
    },
  },
  {
    title: "a certificate that has expired",
    expected: { ...out, reason: "TLS_EXPIRED", message: /^no TLS connection to .*expired$/ },
    provoke: async (scope) => {
      const ca = await TestCa.make();
      const now = Date.now();
      const old = await ca.issue("up", { notBefore: now - 7_200_000, notAfter: now - 3_600_000 });
      const server = await TlsServer.listen({ cert: old.certificate, key: old.key, ca: ca.pem });
      scope.onEnd(() => server.close());
      return await callOnce(scope, await caller(scope, ca, server.address));
    },
  },
  {
    title: "an address that another service has by now",
    expected: {
      ...out,
      reason: "TLS_WRONG_IDENTITY",
      message: /it is spiffe:\/\/test\.mesh\/ns\/default\/dc\/dc1\/svc\/up, and other is spiffe:.*\/svc\/other$/,
      upstream: "other",
    },
    provoke: async (scope) => {
      const ca = await TestCa.make();
      const { inbound } = await mesh(scope, { ca });
      return await callOnce(scope, await caller(scope, ca, inbound.inbound, "other"), "other");
    },
  },
  {
    title: "a server that does not take the caller's certificate",
    expected: { ...out, reason: "TLS_REFUSED", message: /does not take the certificate of this sidecar/ },
    provoke: async (scope) => {
      const ca = await TestCa.make();
      const own = await filesOf(scope, ca, "up");
      const other = await filesOf(scope, await TestCa.make(), "up");
      const port = await freePort();
      const { cert, key } = own.files;
      const args = ["s_server", "-accept", `127.0.0.1:${port}`, "-cert", cert, "-key", key, "-alpn", "h2", "-quiet"];
      const verify = ["-Verify", "1", "-verify_return_error", "-CAfile", other.files.ca];
      const server = spawn("openssl", [...args, ...verify], { stdio: ["pipe", "ignore", "ignore"] });
      scope.onEnd(async () => {
        server.kill();
        await once(server, "exit");
      });
      await sleep(300);
      return await callOnce(scope, await caller(scope, ca, `127.0.0.1:${port}`));
    },
  },
  {
    title: "a caller whose certificate has expired",
    expected: { ...out, reason: "TLS_NO_IDENTITY", message: /this sidecar has no valid certificate$/ },
    provoke: async (scope) => {
      const { inbound } = await mesh(scope);
      const sidecar = await caller(scope, await TestCa.make(), inbound.inbound);
      sidecar.clock.jump(2 * 3_600_000);
      const made = await callOnce(scope, sidecar);
      // It says so in its log, too, and loudly.
      const at = sidecar.lines.findIndex(({ msg }) => String(msg).startsWith("the certificate expired at "));
      if (at < 0) throw new Error("nobody was told that the certificate has expired");
      sidecar.lines.splice(at, 1);
      return made;
    },
  },
  {
    title: "a mark that is gone from the catalog",
    expected: { ...out, reason: "DOWNGRADE_REFUSED", message: /was reached by TLS before .* plaintext is refused/ },
    provoke: async (scope) => {
      const made = await mesh(scope, { inbound: "permissive", outbound: "permissive" });
      const first = await made.call();
      if (first.error !== undefined) throw first.error;
      const { inbound, outbound } = made;
      // The sidecar there goes on without TLS, and says so.
      const { discovery, service } = inbound.runtime.config;
      await inbound.runtime.apply(
        offered(inbound, {
          discovery: { directory: discovery.directory },
          service: { name: "up", address: `127.0.0.1:${portOf(service?.address)}` },
        }),
      );
      const [cluster] = outbound.runtime.upstreams.clusters();
      const [endpoint] = cluster?.endpoints ?? [];
      await eventually(
        () => endpoint?.meta.mtls === "disabled",
        () => "the mark to go",
      );
      for (const { connection } of inbound.runtime.listeners.inbound?.acceptor.connections ?? [])
        connection.close("the connection of before");
      await eventually(
        () => [...outbound.connections()].every(({ role, draining }) => role === "server" || draining),
        () => "the connection's end",
      );
      return await callOnce(scope, outbound);
    },
  },
];

function portOf(address: unknown): number {
  return Number(Reflect.get(Object(address), "port"));
}

/** A sidecar that dials one address, and by TLS only. */
async function caller(scope: Scope, ca: TestCa, address: string, name = "up"): Promise<Sidecar> {
  const { files } = await filesOf(scope, ca, "caller");
  return await scope.sidecar({
    identity: { name: "caller" },
    mtls: { mode: "strict", source: { files } },
    upstreams: { [name]: { discovery: "static", endpoints: [address] } },
  });
}

async function callOnce(scope: Scope, sidecar: Sidecar, authority = "up") {
  const peer = await connectPeer(scope, sidecar.outbound);
  return { sidecar, answer: await peer.answer(peer.request(callHead(authority), true)) };
}
