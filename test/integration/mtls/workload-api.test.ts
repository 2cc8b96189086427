import assert from "node:assert/strict";
import { test } from "node:test";
import { idOf, TestCa } from "../../support/certificates.ts";
import { tryTls } from "../../support/tls-client.ts";
import { eventually, inScope, type Scope, Sidecar } from "../../support/with-proxy.ts";
import { WorkloadApi } from "../../support/workload-api.ts";
import { load, turnOver } from "./load.ts";
import { call, echo, folder, found } from "./mesh.ts";

const id = (path: string): string => `spiffe://test.mesh/${path}`;
const OWN = id("ns/prod/sa/up");
const WELL = "the source of the certificate is well again";
const BROKEN = `-----BEGIN CERTIFICATE-----\n${Buffer.from("broken").toString("base64")}\n-----END CERTIFICATE-----\n`;

async function api(scope: Scope): Promise<WorkloadApi> {
  const made = await WorkloadApi.start();
  scope.onEnd(() => made.stop());
  return made;
}

async function config(scope: Scope, socket: string) {
  const { address } = await echo(scope);
  const mtls = { mode: "strict", source: { spiffe: { socket } }, identity: id("ns/*/sa/up") };
  return { service: { name: "up", address }, mtls };
}

test("certificates of a SPIFFE Workload API: the one that is ours of several, federated authorities, and every change at once", async () => {
  await inScope(async (scope) => {
    const [ca, partner] = [await TestCa.make(), await TestCa.make("partner.example")];
    const agent = await api(scope);
    const svid = async (path: string) => ({ id: id(path), material: await ca.material("up", { uris: [id(path)] }) });
    agent.serve([await svid("ns/prod/sa/other"), await svid("ns/prod/sa/up")], { "partner.example": partner.pem });
    const sidecar = await scope.sidecar(await config(scope, agent.socket));
    assert.equal(agent.refused, 0);
    assert.equal(sidecar.runtime.mtls.credentials?.own.id.text, OWN);
    assert.equal((await tryTls(sidecar.inbound, ca, await ca.issue("other"))).spoken, true);
    assert.equal((await tryTls(sidecar.inbound, ca, await partner.issue("other"))).spoken, true);
    const before = sidecar.runtime.mtls.credentials?.own.fingerprint;
    agent.serve([await svid("ns/prod/sa/up")]);
    await eventually(
      () => sidecar.runtime.mtls.credentials?.own.fingerprint !== before,
      () => "the next certificate",
    );
  });
});

test("an agent that goes away changes nothing, and is asked again", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const agent = await api(scope);
    agent.serve([{ id: OWN, material: await ca.material("up", { uris: [OWN] }) }]);
    const sidecar = await scope.sidecar(await config(scope, agent.socket));
    const { asked } = agent;
    agent.breakOff();
    await eventually(
      () => sidecar.lines.some(({ msg }) => String(msg).startsWith("no new certificate: ")),
      () => "a word about it",
    );
    assert.equal((await tryTls(sidecar.inbound, ca, await ca.issue("other"))).spoken, true);
    const before = sidecar.runtime.mtls.credentials?.own.fingerprint;
    agent.serve([{ id: OWN, material: await ca.material("up", { uris: [OWN] }) }]);
    sidecar.clock.jump(60_000);
    await eventually(
      () => agent.asked > asked && sidecar.runtime.mtls.credentials?.own.fingerprint !== before,
      () => "another question, and its answer",
    );
  });
});

test("a sidecar waits for an agent that is not there yet, and says so; one that has another's identity is not waited for", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const agent = await api(scope);
    const made = await config(scope, `${agent.socket}.later`);
    const sidecar = await scope.sidecar(made);
    const ready = sidecar.runtime.ready();
    assert.equal(ready.ready, false);
    assert.deepEqual(ready.ready ? [] : ready.waiting.map(({ what }) => what), ["certificate"]);
    assert.equal((await tryTls(sidecar.inbound, ca, await ca.issue("other"))).spoken, false);
    agent.serve([
      { id: id("ns/prod/sa/other"), material: await ca.material("up", { uris: [id("ns/prod/sa/other")] }) },
    ]);
    await assert.rejects(
      Sidecar.start(await config(scope, agent.socket)),
      /no identity from mtls\.source\.spiffe: the certificate is for spiffe:\/\/test\.mesh\/ns\/prod\/sa\/other, not for /,
    );
  });
});

test("an agent that misbehaves under load costs no call: what it says that is no answer is told, and its next answer is taken", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const agent = await api(scope);
    const path = await folder(scope);
    const up = { id: idOf("up"), material: await ca.material("up") };
    const caller = { id: idOf("caller"), material: await ca.material("caller") };
    agent.serve([up, caller]);
    const common = {
      discovery: { directory: { path } },
      mtls: { mode: "strict", source: { spiffe: { socket: agent.socket } } },
    };
    const { address } = await echo(scope);
    const inbound = await scope.sidecar({ ...common, service: { name: "up", address } });
    const outbound = await scope.sidecar({ ...common, identity: { name: "caller" }, upstreams: { up: {} } });
    await found(outbound);
    const both = [inbound, outbound];
    const first = both.map(({ runtime }) => runtime.mtls.credentials?.own.fingerprint);
    const stranger = await ca.material("other");
    const calls = load(scope, { call: () => call(outbound.outbound) });
    const misbehaviours: Readonly<Record<string, () => void>> = {
      "octets that are no message": () => agent.say(Buffer.from("garbage, garbage, garbage")),
      "a message that is cut": () => agent.say(agent.said?.subarray(0, 99)),
      "no certificate at all": () => agent.serve([]),
      "empty certificates": () => agent.say(Buffer.from([0x0a, 0x00])),
      "somebody else's": () => agent.serve([{ id: idOf("other"), material: stranger }]),
      "broken certificates": () => agent.serve([{ ...up, material: { ...up.material, certificate: BROKEN } }]),
      "another one's key": () => agent.serve([{ ...up, material: { ...up.material, key: stranger.key } }]),
      "the end of its streams": () => agent.breakOff(),
      "nothing more": () => agent.say(undefined),
    };
    for (const [what, misbehave] of Object.entries(misbehaviours)) {
      for (const { lines } of both) lines.length = 0;
      misbehave();
      if (what !== "nothing more")
        await eventually(
          () => both.every(({ lines }) => lines.some(({ msg }) => String(msg).startsWith("no new certificate: "))),
          () => `a word about ${what}`,
          20_000,
        );
      turnOver(inbound);
      await calls.more(4);
      const now = both.map(({ runtime }) => runtime.mtls.credentials?.own.fingerprint);
      assert.deepEqual(now, first, what);
      agent.serve([up, caller]);
      if (what === "nothing more") continue;
      await eventually(
        () => both.every(({ lines }) => lines.some(({ msg }) => msg === WELL)),
        () => `the end of ${what}`,
        20_000,
      );
    }
    const next = { id: idOf("up"), material: await ca.material("up") };
    agent.serve([next, { ...caller, material: await ca.material("caller") }]);
    await eventually(
      () => both.every(({ runtime }, at) => runtime.mtls.credentials?.own.fingerprint !== first[at]),
      () => "new certificates",
      20_000,
    );
    assert.deepEqual(await calls.stop(), []);
  });
});
