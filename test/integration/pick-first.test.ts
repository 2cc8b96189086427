import assert from "node:assert/strict";
import { test } from "node:test";
import { Blackhole } from "../support/blackhole.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf } from "../support/raw-peer.ts";
import { inTrailers, ScriptedServer } from "../support/scripted-server.ts";
import { inScope } from "../support/with-proxy.ts";

test("pickFirst: a call does not wait for a first endpoint that takes no connection, and all calls stay with the next", async () => {
  await inScope(async (scope) => {
    const hole = await Blackhole.open();
    scope.onEnd(() => hole.close());
    const servers = [
      await ScriptedServer.start(scope, inTrailers(0)),
      await ScriptedServer.start(scope, inTrailers(0)),
    ];
    const endpoints = [hole.address, ...servers.map(({ address }) => address)];
    // Longer than a call may wait for a connection: only what is tried beside the first one can answer it.
    const up = { discovery: "static", endpoints, balancer: "pickFirst", connectTimeout: "60s" };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let n = 0; n < 20; n++) {
      const { head, trailers } = await caller.answer(caller.request(callHead("up"), true), 20_000);
      assert.equal(fieldOf(trailers ?? head, "grpc-status"), "0");
    }
    assert.deepEqual(
      servers.map(({ requests }) => requests.length),
      [20, 0],
    );
  });
});
