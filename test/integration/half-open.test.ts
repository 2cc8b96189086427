import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CountingCaller } from "../support/caller.ts";
import { Tally } from "../support/counting.ts";
import { answerHead, callHead, connectPeer, inboundConfig } from "../support/raw-call.ts";
import { fieldOf, RawServer } from "../support/raw-peer.ts";
import { startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually, inScope, type Sidecar } from "../support/with-proxy.ts";

/** Whether an endpoint is in a state. */
function anyIs(sidecar: Sidecar, state: string): boolean {
  for (const cluster of sidecar.runtime.upstreams.clusters())
    for (const endpoint of cluster.endpoints) if (endpoint.state.kind === state) return true;
  return false;
}

test("a replica that stands still in the middle of calls is found by PING, is out, and comes back", async () => {
  await inScope(async (scope) => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-half-open-"));
    scope.onEnd(() => rm(folder, { recursive: true, force: true }));
    const tally = new Tally(folder);
    const app = await tally.start("app", { mute: true });
    scope.onEnd(async () => void (await app.process.kill()));
    const replica = await startSidecarProcess({ service: { name: "up", address: app.address, health: "none" } });
    scope.onEnd(async () => void (await replica.process.kill()));
    const sidecar = await scope.sidecar({
      log: { access: "errors" },
      upstreams: { up: { discovery: "static", endpoints: [replica.address("inbound")] } },
    });
    const caller = new CountingCaller("call", sidecar.outbound, "up");
    scope.onEnd(() => caller.close());
    const calls = Promise.all([caller.call(600_000), caller.call(600_000)]);
    await eventually(
      async () => (await tally.executions()).size === 2,
      () => "two calls at the application",
    );
    const answered = (): number => {
      let octets = 0;
      for (const connection of sidecar.connections())
        if (connection.role === "client") octets += connection.bytesReceived;
      return octets;
    };
    // Alive: it is asked and answers, however long its application takes.
    const before = answered();
    sidecar.clock.jump(10_000);
    await eventually(
      () => answered() > before,
      () => "an answer to a PING",
    );
    replica.process.signal("SIGSTOP");
    sidecar.clock.jump(10_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(caller.failed.length, 0);
    sidecar.clock.jump(10_000);
    await calls;
    for (const { status, reason, message } of caller.failed) {
      assert.deepEqual([status, reason], ["UNAVAILABLE", "UPSTREAM_LOST"]);
      assert.match(message, /was lost during the call: .* did not answer a PING within 10000 ms/);
    }
    assert.equal(caller.failed.length, 2);
    assert.ok(anyIs(sidecar, "unreachable"), "nobody picks it any more");
    replica.process.signal("SIGCONT");
    sidecar.clock.jump(20_000);
    await eventually(
      () => anyIs(sidecar, "up"),
      () => "it is back",
    );
  });
});

test("a caller's sidecar that is gone without a word is found by PING, and its calls are given up", async () => {
  await inScope(async (scope) => {
    const application = await RawServer.listen();
    scope.onEnd(() => application.close());
    const sidecar = await scope.sidecar(inboundConfig(application.address));
    const alive = await connectPeer(scope, sidecar.inbound, { sidecar: true });
    const gone = await connectPeer(scope, sidecar.inbound, { sidecar: true, pong: false });
    const stranger = await connectPeer(scope, sidecar.inbound, { pong: false });
    for (const [name, caller] of Object.entries({ alive, gone, stranger }))
      caller.request(callHead("up", ["x-caller", name]), true);
    const app = await application.peer();
    const streams = new Map<string | undefined, number>();
    while (streams.size < 3) {
      const { fields, stream } = await app.nextRequest();
      streams.set(fieldOf(fields, "x-caller"), stream);
    }
    sidecar.clock.jump(10_000);
    await Promise.all([alive.next("ping"), gone.next("ping")]);
    // Its answer is on its way.
    await new Promise((resolve) => setTimeout(resolve, 50));
    sidecar.clock.jump(10_000);
    await gone.next("closed");
    assert.equal((await app.next("reset", streams.get("gone"))).code, 8, "CANCEL");
    assert.equal(
      app.received.filter(({ kind }) => kind === "reset").length,
      1,
      "the calls of others go on: a stranger is asked much later",
    );
    for (const name of ["alive", "stranger"])
      app.headers(streams.get(name) ?? 0, [...answerHead, ["grpc-status", "0"]], true);
    for (const caller of [alive, stranger]) assert.equal((await caller.answer(1)).reset, undefined);
  });
});
