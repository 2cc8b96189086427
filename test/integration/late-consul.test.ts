import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeConsul } from "../discovery/fake-consul.ts";
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

function caller(scope: Scope, { address }: FakeConsul): Promise<Sidecar> {
  return scope.sidecar({ identity: { name: "caller" }, discovery: { consul: { address } }, upstreams: { up: {} } });
}

async function readiness({ runtime }: Sidecar): Promise<string> {
  const state = runtime.ready();
  return state.ready ? "ready" : state.waiting.map(({ what, detail }) => `${what}: ${detail}`).join("; ");
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
