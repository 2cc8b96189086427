import assert from "node:assert/strict";
import { test } from "node:test";
import { idOf } from "../../support/certificates.ts";
import { callHead, connectPeer } from "../../support/raw-call.ts";
import { fieldOf } from "../../support/raw-peer.ts";
import { inScope, type Scope } from "../../support/with-proxy.ts";
import { mesh } from "./mesh.ts";

/** The explanation that a caller reads whose sidecar may be asked by it, and asks the called one in its own name. */
async function explained(
  scope: Scope,
  callers: readonly string[],
): Promise<{ readonly next?: { readonly identity: string } }> {
  const { inbound, outbound } = await mesh(scope);
  const { config } = inbound.runtime;
  await inbound.runtime.apply({ ...config, explain: { ...config.explain, callers } });
  const own = outbound.runtime.config;
  await outbound.runtime.apply({ ...own, explain: { ...own.explain, callers: ["application"] } });
  const caller = await connectPeer(scope, outbound.outbound);
  const stream = caller.request(callHead("up", ["outrigger-explain", "1"]), false);
  caller.data(stream, Buffer.from([0, 0, 0, 0, 1, 120]), true);
  const { head, trailers } = await caller.answer(stream);
  return JSON.parse(fieldOf(trailers ?? head, "outrigger-explain") ?? "{}");
}

test("a called sidecar explains itself to the identities that it is told of", async () => {
  await inScope(async (scope) => {
    const { next } = await explained(scope, ["spiffe://*/ns/default/dc/*/svc/caller"]);
    assert.equal(next?.identity, idOf("caller"));
  });
});

test("and to no other, proven or not", async () => {
  await inScope(async (scope) => {
    const read = await explained(scope, [
      "application",
      "spiffe://*/ns/default/dc/*/svc/other",
      "spiffe://*/svc/caller",
    ]);
    assert.ok("steps" in read, "the caller's own sidecar explains itself");
    assert.equal(read.next, undefined);
  });
});
