import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../support/ports.ts";
import { answerHead, callHead, connectPeer, inboundConfig } from "../support/raw-call.ts";
import { fieldOf, RawServer } from "../support/raw-peer.ts";
import { inScope, type Scope, type SidecarConfig } from "../support/with-proxy.ts";

const to = (address: string) => ({ up: { discovery: "static", endpoints: [address] } });

/** Two sidecars of which each sends its calls on to the other, by one kind of listener. */
async function circle(scope: Scope, listener: "inbound" | "outbound"): Promise<string> {
  const addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`] as const;
  const config = (own: string, other: string): SidecarConfig => ({
    listeners: { [listener]: own },
    ...(listener === "inbound"
      ? { service: { name: "up", address: other } }
      : { identity: { name: "up" }, upstreams: to(other) }),
  });
  await scope.sidecar(config(addresses[0], addresses[1]));
  await scope.sidecar(config(addresses[1], addresses[0]));
  return addresses[0];
}

for (const listener of ["inbound", "outbound"] as const) {
  test(`a call that two sidecars send to each other's ${listener} listener for ever ends, and says why`, async () => {
    await inScope(async (scope) => {
      const caller = await connectPeer(scope, await circle(scope, listener));
      const { head } = await caller.answer(caller.request(callHead("up"), true));
      assert.equal(fieldOf(head, "grpc-status"), "13");
      assert.equal(fieldOf(head, "outrigger-reason"), "LOOP");
    });
  });
}

test("a call between two services carries no count of sidecars, and one that goes further does", async () => {
  await inScope(async (scope) => {
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const near = await scope.sidecar(inboundConfig(server.address));
    const far = await scope.sidecar({ identity: { name: "caller" }, upstreams: to(near.inbound) });
    const caller = await connectPeer(scope, far.outbound);
    const first = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const plain = await upstream.nextRequest();
    assert.equal(fieldOf(plain.fields, "outrigger-hops"), undefined, "the application sees nothing of it");
    upstream.headers(plain.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(first);

    const further = await RawServer.listen({ sidecar: true });
    scope.onEnd(() => further.close());
    const gateway = await scope.sidecar({ identity: { name: "caller" }, upstreams: to(further.address) });
    for (const [sidecar, count, seen] of [
      [false, "5", undefined],
      [true, undefined, "2"],
      [true, "5", "6"],
      [true, "-1", "2"],
      [true, "16", "17"],
    ] as const) {
      const peer = await connectPeer(scope, gateway.outbound, { sidecar });
      const stream = peer.request(
        callHead("up", ...(count === undefined ? [] : [["outrigger-hops", count] as const])),
        true,
      );
      const next = further.peers[0] ?? (await further.peer());
      const got = await next.nextRequest();
      assert.equal(fieldOf(got.fields, "outrigger-hops"), seen, `${count} of a ${sidecar ? "sidecar" : "stranger"}`);
      next.headers(got.stream, [...answerHead, ["grpc-status", "0"]], true);
      await peer.answer(stream);
    }
  });
});
