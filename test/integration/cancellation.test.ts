import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { Blackhole } from "../support/blackhole.ts";
import {
  answerHead,
  callHead,
  connectPeer,
  inboundHop,
  message,
  type OneHop,
  outboundHop,
} from "../support/raw-call.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

/** Milliseconds in which a cancel arrives at the other side; in the best of several, for others use this machine as well. */
const PROMPT = 20;
/** The same for one try alone. */
const LENIENT = 200;

const hops: [name: string, make: (scope: Scope) => Promise<OneHop>][] = [
  ["outbound", (scope) => outboundHop(scope)],
  ["inbound", (scope) => inboundHop(scope)],
];

/** How far a call has come when its caller gives it up. */
const stages: [
  name: string,
  reach: (caller: RawPeer, stream: number, upstream: RawPeer, at: number) => Promise<void>,
][] = [
  ["before the request has ended", async () => {}],
  [
    "after the request has ended",
    async (caller, stream, upstream, at) => {
      caller.data(stream, message("all"), true);
      await upstream.next("data", at);
    },
  ],
  [
    "in the middle of the answer",
    async (caller, stream, upstream, at) => {
      upstream.headers(at, answerHead);
      upstream.data(at, message("part"));
      await caller.next("data", stream);
    },
  ],
];

for (const [direction, make] of hops) {
  for (const [stage, reach] of stages) {
    test(`a cancel ${stage} arrives ${direction} at once with its code`, async () => {
      await inScope(async (scope) => {
        const { caller, server } = await make(scope);
        const times: number[] = [];
        for (const code of [ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, 0xbeef]) {
          const stream = caller.request(callHead("up"));
          const upstream = server.peers[0] ?? (await server.peer());
          const request = await upstream.nextRequest();
          await reach(caller, stream, upstream, request.stream);
          const began = performance.now();
          caller.reset(stream, code);
          assert.equal((await upstream.next("reset", request.stream)).code, code);
          times.push(performance.now() - began);
        }
        assert.ok(Math.min(...times) < PROMPT, `after ${times.join(", ")} ms`);
      });
    });
  }

  test(`a caller that is gone cancels ${direction} whatever it had begun`, async () => {
    await inScope(async (scope) => {
      const { caller, server, sidecar } = await make(scope);
      for (let call = 0; call < 3; call++) caller.request(callHead("up"));
      const upstream = await server.peer();
      for (let call = 0; call < 3; call++) await upstream.nextRequest();
      const began = performance.now();
      caller.destroy();
      for (let call = 0; call < 3; call++) assert.equal((await upstream.next("reset")).code, ErrorCode.CANCEL);
      assert.ok(performance.now() - began < LENIENT);
      await eventually(
        () => sidecar.calls.length === 3,
        () => "three lines",
      );
      // Outbound the caller is the application beside it; whoever calls in is a peer.
      const origin = direction === "outbound" ? "app" : "peer";
      for (const line of sidecar.calls) assert.deepEqual([line.grpc_status, line.origin], ["CANCELLED", origin]);
      assert.equal(await sidecar.handled({ direction, grpc_status: "CANCELLED", reason: "", origin }), 3);
    });
  });

  test(`a reset of the upstream in the middle of the answer arrives ${direction} at once as trailers`, async () => {
    await inScope(async (scope) => {
      const { caller, server } = await make(scope);
      const stream = caller.request(callHead("up"));
      const upstream = await server.peer();
      const request = await upstream.nextRequest();
      upstream.headers(request.stream, answerHead);
      upstream.data(request.stream, message("part"));
      await caller.next("data", stream);
      const began = performance.now();
      upstream.reset(request.stream, ErrorCode.CANCEL);
      const trailers = await caller
        .next("headers", stream)
        .then((head) => (head.end ? head : caller.next("headers", stream)));
      assert.ok(performance.now() - began < LENIENT);
      assert.equal(fieldOf(trailers.fields, "grpc-status"), "1");
      assert.equal(fieldOf(trailers.fields, "outrigger-reason"), "RST_STREAM");
    });
  });
}

test("a cancel passes two sidecars at once", async () => {
  await inScope(async (scope) => {
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const near = await scope.sidecar({ service: { name: "up", address: server.address } });
    const far = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [near.inbound] } } });
    const caller = await connectPeer(scope, far.outbound);
    const stream = caller.request(callHead("up"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    const began = performance.now();
    caller.reset(stream, ErrorCode.CANCEL);
    assert.equal((await upstream.next("reset", request.stream)).code, ErrorCode.CANCEL);
    assert.ok(performance.now() - began < LENIENT);
  });
});

test("a reset without an error is a cancel for the upstream, who would otherwise take it for an end", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    caller.reset(stream, ErrorCode.NO_ERROR);
    assert.equal((await upstream.next("reset", request.stream)).code, ErrorCode.CANCEL);
  });
});

test("a caller that breaks the rules of its stream cancels its call, and the connection stays", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up", ["content-length", "3"]));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    caller.data(stream, Buffer.from("four"), true);
    assert.equal((await caller.next("reset", stream)).code, ErrorCode.PROTOCOL_ERROR);
    assert.equal((await upstream.next("reset", request.stream)).code, ErrorCode.CANCEL);
    const next = caller.request(callHead("up"), true);
    const second = await upstream.nextRequest();
    upstream.headers(second.stream, [...answerHead, ["grpc-status", "0"]], true);
    assert.equal(fieldOf((await caller.answer(next)).head, "grpc-status"), "0");
  });
});

test("a call that is cancelled while it waits for a connection leaves nothing behind", async () => {
  await inScope(async (scope) => {
    const hole = await Blackhole.open();
    scope.onEnd(() => hole.close());
    const sidecar = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [hole.address] } } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"));
    caller.data(stream, Buffer.alloc(10_000));
    await eventually(
      () => sidecar.shared.room.octets === 10_000,
      () => "a request that waits",
    );
    caller.reset(stream, ErrorCode.CANCEL);
    await sidecar.rest();
    assert.equal((await sidecar.call()).grpc_status, "CANCELLED");
  });
});

test("an upstream that answers before the request has ended and then says stop is passed on, code and all", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("first"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "9"]], true);
    upstream.reset(request.stream, ErrorCode.NO_ERROR);
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, "grpc-status"), "9");
    assert.equal((await caller.next("reset", stream)).code, ErrorCode.NO_ERROR);
  });
});

test("an upstream that answers early and does not say stop gets the rest of the request", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope);
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("first"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
    caller.data(stream, Buffer.alloc(16_000, "x"));
    caller.data(stream, Buffer.from("end"), true);
    await eventually(
      () => upstream.octets(request.stream) === message("first").length + 16_003,
      () => `${upstream.octets(request.stream)} octets`,
    );
    assert.equal((await sidecar.call()).grpc_status, "OK");
  });
});

test("a refusal stops a caller that is still sending", async () => {
  await inScope(async (scope) => {
    const { caller } = await outboundHop(scope);
    const stream = caller.request(callHead("no.such.name"));
    caller.data(stream, message("much"));
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "NO_ROUTE");
    assert.equal((await caller.next("reset", stream)).code, ErrorCode.NO_ERROR);
  });
});
