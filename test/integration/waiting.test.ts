import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../support/ports.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

/** A sidecar whose Consul agent is not there. */
async function withoutConsul(scope: Scope): Promise<Sidecar> {
  const consul = { address: `http://127.0.0.1:${await freePort()}` };
  return await scope.sidecar({ discovery: { consul }, upstreams: { declared: {} } });
}

for (const [name, what] of [
  ["declared", "for the first answer about an upstream"],
  ["somebody", "while its name is looked up"],
] as const) {
  test(`a call waits ${what} until its deadline, and is told so`, async () => {
    await inScope(async (scope) => {
      const sidecar = await withoutConsul(scope);
      const caller = await connectPeer(scope, sidecar.outbound);
      const stream = caller.request(callHead(name, ["grpc-timeout", "200m"]), true);
      const { head } = await caller.answer(stream);
      assert.deepEqual([fieldOf(head, "grpc-status"), fieldOf(head, "outrigger-reason")], ["4", "DEADLINE_CLIENT"]);
      const { duration_ms: duration } = await sidecar.call();
      assert.ok(Number(duration) >= 200, `after ${String(duration)} ms`);
    });
  });

  test(`a call without a deadline waits ${what} for 10 s at most, and fails with the reason`, async () => {
    await inScope(async (scope) => {
      const sidecar = await withoutConsul(scope);
      const caller = await connectPeer(scope, sidecar.outbound);
      const stream = caller.request(callHead(name), true);
      await eventually(
        () => sidecar.shared.room.calls === 1,
        () => "a call that waits",
      );
      sidecar.clock.jump(10_000);
      const { head } = await caller.answer(stream);
      assert.deepEqual([fieldOf(head, "grpc-status"), fieldOf(head, "outrigger-reason")], ["14", "NO_ENDPOINTS"]);
      assert.match(fieldOf(head, "grpc-message") ?? "", /^the call waited 10s for /);
    });
  });
}
