import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Metadata } from "@grpc/grpc-js";
import { TestCa } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { tryTls } from "../../support/tls-client.ts";
import { eventually, inScope, type Sidecar } from "../../support/with-proxy.ts";
import { fingerprint, load, turnOver } from "./load.ts";
import { call, echo, folder, found, mesh } from "./mesh.ts";

const HOUR = 3_600_000;

test("a certificate is replaced under load: no call is lost, and new handshakes have the new one at once", async () => {
  await inScope(async (scope) => {
    const made = await mesh(scope);
    const { inbound, outbound, ca, certificates } = made;
    const calls = load(scope, made);
    for (let round = 0; round < 5; round++) {
      for (const [sidecar, service, files] of [
        [inbound, "up", certificates.up],
        [outbound, "caller", certificates.caller],
      ] as const) {
        const before = fingerprint(sidecar);
        const { certificate, key } = await ca.issue(service);
        await files.write({ key, cert: certificate });
        await eventually(
          () => fingerprint(sidecar) !== before,
          () => "the new certificate",
        );
      }
      turnOver(inbound);
      await calls.more(10);
    }
    assert.deepEqual(await calls.stop(), []);
    const [accepted] = inbound.runtime.listeners.inbound?.acceptor.connections ?? [];
    const shown = /Hash=([0-9a-f]{64})/.exec(accepted?.caller?.certificate ?? "")?.[1];
    assert.equal(shown, fingerprint(outbound));
  });
});

test("all authorities are swapped under load, one side after the other, and no call is lost", async () => {
  await inScope(async (scope) => {
    const made = await mesh(scope);
    const { inbound, outbound, ca, certificates } = made;
    const next = await TestCa.make();
    const calls = load(scope, made);
    const settled = async (sidecar: Sidecar, before: unknown): Promise<void> =>
      await eventually(
        () => sidecar.runtime.mtls.credentials !== before,
        () => "other credentials",
      );
    // Both learn the new authority, then each takes a certificate of it, then both forget the old one.
    for (const [sidecar, files] of [
      [inbound, certificates.up],
      [outbound, certificates.caller],
    ] as const) {
      const before = sidecar.runtime.mtls.credentials;
      await files.write({ ca: ca.pem + next.pem });
      await settled(sidecar, before);
      turnOver(inbound);
      await calls.more(10);
    }
    for (const [sidecar, service, files] of [
      [inbound, "up", certificates.up],
      [outbound, "caller", certificates.caller],
    ] as const) {
      const before = sidecar.runtime.mtls.credentials;
      const { certificate, key } = await next.issue(service);
      await files.write({ key, cert: certificate, ca: next.pem });
      await settled(sidecar, before);
      turnOver(inbound);
      await calls.more(10);
    }
    assert.deepEqual(await calls.stop(), []);
    // What the source no longer has is trusted for a while, and then no more.
    const old = await ca.issue("other");
    assert.equal((await tryTls(inbound.inbound, next, old)).spoken, true);
    inbound.clock.jump(601_000);
    assert.equal((await tryTls(inbound.inbound, next, old)).spoken, false);
    assert.equal((await tryTls(inbound.inbound, next, await next.issue("other"))).spoken, true);
  });
});

test("files that do not belong together, or are broken, change nothing and are told of", async () => {
  await inScope(async (scope) => {
    const made = await mesh(scope);
    const { inbound, ca, certificates } = made;
    for (const broken of ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"]) {
      const before = fingerprint(inbound);
      await certificates.up.write({ cert: broken });
      await eventually(
        () => inbound.lines.some(({ msg }) => String(msg).startsWith("no new certificate: ")),
        () => "a word about it",
      );
      assert.equal(fingerprint(inbound), before);
      assert.equal((await made.call()).error, undefined);
      inbound.lines.length = 0;
      const { certificate, key } = await ca.issue("up");
      await certificates.up.write({ key, cert: certificate });
      await eventually(
        () => inbound.runtime.ready().ready && inbound.lines.some(({ msg }) => msg === "the certificate was replaced"),
        () => "the next certificate",
      );
    }
  });
});

/** A mesh whose sidecars have themselves certified by an authority of this machine, each for a day. */
async function certified(scope: Parameters<Parameters<typeof inScope>[0]>[0]) {
  const [mesh_, ca] = [await folder(scope), await folder(scope)];
  const application = await echo(scope);
  const common = {
    discovery: { directory: { path: mesh_ } },
    mtls: { mode: "strict", source: { development: { path: ca } } },
  };
  const inbound = await scope.sidecar({ ...common, service: { name: "up", address: application.address } });
  const outbound = await scope.sidecar({ ...common, identity: { name: "caller" }, upstreams: { up: {} } });
  await found(outbound);
  return { ca, inbound, outbound, seen: application.seen as Metadata[], call: () => call(outbound.outbound) };
}

test("a certificate is renewed at two thirds of its life, though the clock jumps, and calls go on", async () => {
  await inScope(async (scope) => {
    const made = await certified(scope);
    const { inbound, outbound } = made;
    assert.equal((await made.call()).error, undefined);
    const first = fingerprint(inbound);
    for (const { clock } of [inbound, outbound]) clock.jump(15 * HOUR);
    await sleep(50);
    assert.equal(fingerprint(inbound), first);
    // Two thirds of a day, and the share by which the askers are spread.
    for (const { clock } of [inbound, outbound]) clock.jump(2.5 * HOUR);
    await eventually(
      () => fingerprint(inbound) !== first,
      () => "another certificate",
    );
    const left = sampleValue(await inbound.metrics(), "outrigger_tls_certificate_expiry_seconds", {}) ?? 0;
    assert.ok(left > (23 * HOUR) / 1000, `${left} s left`);
    // The registry has to hear of the jump first.
    await eventually(
      async () => (await made.call()).error === undefined,
      () => "a call that is answered",
    );
  });
});

test("a certificate that is not renewed is a warning, then not ready, then never shown; and all is well once there is one", async () => {
  await inScope(async (scope) => {
    const made = await mesh(scope);
    const { inbound, ca, certificates } = made;
    assert.deepEqual(inbound.runtime.ready(), { ready: true });
    inbound.clock.jump(0.9 * HOUR);
    const warned = inbound.runtime.ready();
    assert.equal(warned.ready, true);
    assert.match(warned.ready ? (warned.detail ?? "") : "", /^the certificate ends at .* and has not been renewed/);
    inbound.clock.jump(0.2 * HOUR);
    const late = inbound.runtime.ready();
    assert.equal(late.ready, false);
    assert.match(late.ready ? "" : (late.waiting[0]?.detail ?? ""), /^the certificate has expired: /);
    const expiry = sampleValue(await inbound.metrics(), "outrigger_tls_certificate_expiry_seconds", {}) ?? 0;
    assert.ok(expiry < 0, `${expiry} s`);
    const attempt = await tryTls(inbound.inbound, ca, await ca.issue("other"));
    assert.equal(attempt.spoken, false);
    const labels = { direction: "inbound", result: "noIdentity" };
    assert.equal(sampleValue(await inbound.metrics(), "outrigger_tls_handshakes_total", labels), 1);
    const told = inbound.lines.findIndex(({ msg }) => String(msg).startsWith("the certificate expired at "));
    assert.ok(told >= 0, "the log says so");
    inbound.lines.splice(told, 1);
    const { certificate, key } = await ca.issue("up", { notAfter: Date.now() + 5 * HOUR });
    await certificates.up.write({ key, cert: certificate });
    await eventually(
      () => inbound.runtime.ready().ready,
      () => "ready again",
    );
    const own = await ca.issue("other", { notAfter: Date.now() + 5 * HOUR });
    assert.equal((await tryTls(inbound.inbound, ca, own)).spoken, true);
  });
});
