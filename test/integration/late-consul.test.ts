import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeConsul } from "../discovery/consul/fake-consul.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { call, echo } from "./mtls/mesh.ts";

/** A Consul that knows an instance of `up`, and does not listen yet. */
async function lateConsul(scope: Scope): Promise<FakeConsul> {
  const { address } = await echo(scope);
  const [host = "", port = ""] = address.split(":");
  const consul = await new FakeConsul().start();
  consul.set("up", [{ host, port: Number(port) }]);
  await consul.stop();
  scope.onEnd(() => consul.stop());
  return consul;
}

function caller(scope: Scope, { address }: FakeConsul, up: Readonly<Record<string, unknown>> = {}): Promise<Sidecar> {
  return scope.sidecar({ identity: { name: "caller" }, discovery: { consul: { address } }, upstreams: { up } });
}

async function readiness({ runtime }: Sidecar): Promise<string> {
  const state = runtime.ready();
  if (state.ready) return state.detail === undefined ? "ready" : `ready, but ${state.detail}`;
  return state.waiting.map(({ what, detail }) => `${what}: ${detail}`).join("; ");
}

for (const late of [0, 5, 60]) {
  test(`a start with Consul late by ${late} s waits for it and says so, and its calls wait as long as their deadlines`, async () => {
    await inScope(async (scope) => {
      const consul = await lateConsul(scope);
      if (late === 0) await consul.start();
      const sidecar = await caller(scope, consul);
      const first = call(sidecar.outbound);
      if (late > 0) {
        await eventually(
          async () => /^upstream up: consul has not answered for up yet: \S+/.test(await readiness(sidecar)),
          () => "the reason for waiting",
        );
        // The call of the application is there, too: it is not refused because something starts later.
        await eventually(
          () => sidecar.unrest().some((what) => what.includes("calls in the waiting room")),
          () => "a call that waits",
        );
        sidecar.clock.jump(late * 1000);
        await consul.start();
      }
      const { error, reason } = await first;
      if (late < 10) assert.equal(error?.message, undefined);
      // Its deadline and the 10 s that a call waits at most are over at once.
      else assert.ok(["DEADLINE_CLIENT", "NO_ENDPOINTS"].includes(reason), reason);
      // What a pause between two tries still lasts is not what is tested.
      await eventually(
        async () => {
          if (late > 0) sidecar.clock.jump(1000);
          return (await readiness(sidecar)) === "ready";
        },
        () => "ready",
      );
      assert.equal((await call(sidecar.outbound)).error, undefined);
    });
  });
}

test("an optional upstream is not waited for, which is said; its calls wait for it all the same", async () => {
  await inScope(async (scope) => {
    const consul = await lateConsul(scope);
    const sidecar = await caller(scope, consul, { startup: "optional" });
    await sidecar.runtime.whenReady();
    await eventually(
      async () =>
        /^ready, but consul has not answered for up yet: .* \(startup: optional\)$/.test(await readiness(sidecar)),
      () => "what is not known yet",
    );
    const first = call(sidecar.outbound);
    await eventually(
      () => sidecar.unrest().some((what) => what.includes("calls in the waiting room")),
      () => "a call that waits",
    );
    await consul.start();
    sidecar.clock.jump(5000);
    assert.equal((await first).error, undefined);
    assert.equal(await readiness(sidecar), "ready");
  });
});

test("a reload that makes the upstream optional that is waited for ends the wait", async () => {
  await inScope(async (scope) => {
    const consul = await lateConsul(scope);
    const sidecar = await caller(scope, consul);
    const ready = sidecar.runtime.whenReady();
    assert.match(await readiness(sidecar), /^upstream up: /);
    const { upstreams } = sidecar.runtime.config;
    const optional = new Map([...upstreams].map(([name, up]) => [name, { ...up, startup: "optional" as const }]));
    assert.equal((await sidecar.runtime.apply({ ...sidecar.runtime.config, upstreams: optional })).kind, "applied");
    await ready;
    assert.match(await readiness(sidecar), /^ready, but /);
  });
});
