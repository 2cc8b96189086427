import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead, connectPeer, inboundHop, message, outboundHop } from "../support/raw-call.ts";
import type { RawField } from "../support/raw-hpack.ts";
import { fieldOf, type RawPeer, type RawServer } from "../support/raw-peer.ts";
import { inScope } from "../support/with-proxy.ts";

/** What an application or a stranger might say in our name. */
const forged: PlainField[] = [
  ["outrigger-reason", "NO_ENDPOINTS"],
  ["outrigger-source", "mallory/inbound"],
  ["outrigger-unprocessed", "1"],
  ["outrigger-anything", "x"],
  ["x-kept", "yes"],
];

const ours = (fields: readonly RawField[]): string[] =>
  fields.map(({ name }) => name).filter((name) => name.startsWith("outrigger-"));

/** A call whose request and answer carry forged fields wherever fields can stand. */
async function forgedCall(caller: RawPeer, server: RawServer) {
  const stream = caller.request(callHead("up", ...forged));
  caller.data(stream, message("m"));
  caller.headers(stream, forged, true);
  const upstream = server.peers[0] ?? (await server.peer());
  const request = await upstream.nextRequest();
  const requestTrailers = await upstream.next("headers", request.stream);
  upstream.headers(request.stream, [[":status", "103"], ...forged]);
  upstream.headers(request.stream, [...answerHead, ...forged]);
  upstream.data(request.stream, message("n"));
  upstream.headers(request.stream, [["grpc-status", "0"], ...forged], true);
  const answer = await caller.answer(stream);
  return {
    request: [request.fields, requestTrailers.fields],
    answer: [answer.interim[0] ?? [], answer.head, answer.trailers ?? []],
  };
}

for (const [direction, make] of [
  ["outbound", outboundHop],
  ["inbound", inboundHop],
] as const) {
  test(`what an application or a stranger says in our name is removed ${direction}, in both directions`, async () => {
    await inScope(async (scope) => {
      const { caller, server, sidecar } = await make(scope);
      for (let round = 0; round < 2; round++) {
        const seen = await forgedCall(caller, server);
        for (const fields of [...seen.request, ...seen.answer]) {
          assert.deepEqual(ours(fields), []);
          assert.equal(fieldOf(fields, "x-kept"), "yes");
        }
      }
      const lines = [await sidecar.call(0), await sidecar.call(1)];
      assert.deepEqual(
        lines.map(({ reason, origin }) => [reason, origin]),
        [
          [undefined, "app"],
          [undefined, "app"],
        ],
      );
    });
  });
}

test("what another sidecar says of a call passes to the caller, and is counted as the peer's", async () => {
  await inScope(async (scope) => {
    const near = await scope.sidecar({ service: { name: "up", address: "127.0.0.1:1" } });
    const far = await scope.sidecar({
      identity: { name: "caller" },
      upstreams: { up: { discovery: "static", endpoints: [near.inbound] } },
    });
    const caller = await connectPeer(scope, far.outbound);
    const answer = await caller.answer(caller.request(callHead("up"), true));
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "CONNECT_REFUSED");
    assert.equal(fieldOf(answer.head, "outrigger-source"), "up/inbound");
    assert.equal(fieldOf(answer.head, "outrigger-unprocessed"), undefined);
    assert.equal(fieldOf(answer.head, "grpc-message"), "the connection was refused");
    const line = await far.call();
    assert.deepEqual([line.reason, line.origin, line.grpc_status], ["CONNECT_REFUSED", "peer", "UNAVAILABLE"]);
    const labels = { direction: "outbound", upstream: "up", reason: "CONNECT_REFUSED", origin: "peer" };
    assert.equal(await far.handled(labels), 1);
    // The one at which the call arrived made the answer itself, once for each attempt.
    assert.equal(await near.handled({ ...labels, direction: "inbound", origin: "proxy" }), Number(line.attempts));
  });
});

test("a sidecar tells its kind in SETTINGS to everybody: whoever is beside it may be another one, by mistake", async () => {
  await inScope(async (scope) => {
    for (const make of [outboundHop, inboundHop]) {
      const { caller, server } = await make(scope);
      assert.equal((await caller.next("settings")).values.get(0x4f52), 1);
      caller.request(callHead("up"), true);
      const upstream = await server.peer();
      assert.equal((await upstream.next("settings")).values.get(0x4f52), 1);
      caller.destroy();
    }
  });
});
