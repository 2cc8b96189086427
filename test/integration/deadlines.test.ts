import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseTimeout } from "../../src/http/grpc.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { answerHead, callHead, connectPeer, inboundHop, message, outboundHop } from "../support/raw-call.ts";
import { fieldOf, pairsOf, RawServer } from "../support/raw-peer.ts";
import { checkTrailers } from "../support/refusal.ts";
import { inScope } from "../support/with-proxy.ts";

/** Milliseconds of the grpc-timeout of a request. */
function timeoutOf(fields: Parameters<typeof fieldOf>[0]): number {
  const text = fieldOf(fields, "grpc-timeout") ?? "";
  const found = parseTimeout(text);
  assert.ok(found !== undefined, `a grpc-timeout, not "${text}"`);
  return found;
}

test("a grpc-timeout is forwarded as it is where no time was used up, whatever its unit", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    for (const text of ["1H", "2M", "3S", "4000m", "5000000u", "99999999n", "99999999H"]) {
      const stream = caller.request(callHead("up", ["grpc-timeout", text]), true);
      const upstream = server.peers[0] ?? (await server.peer());
      const request = await upstream.nextRequest();
      // The first call waited for its connection, so that less is left of it.
      if (text === "1H") assert.ok(timeoutOf(request.fields) < 3_600_000);
      else assert.equal(fieldOf(request.fields, "grpc-timeout"), text);
      upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
      await caller.answer(stream);
    }
  });
});

test("what a call has waited is taken off its grpc-timeout", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, { upstream: { polite: false } });
    const stream = caller.request(callHead("up", ["grpc-timeout", "5S"], ["after", "1"]), true);
    const upstream = await server.peer();
    sidecar.clock.jump(1200);
    upstream.settings([]);
    const request = await upstream.nextRequest();
    assert.ok(timeoutOf(request.fields) <= 3800, `${timeoutOf(request.fields)} ms are left of 3800`);
    assert.ok(timeoutOf(request.fields) > 3000, `${timeoutOf(request.fields)} ms are left`);
    assert.deepEqual(
      pairsOf(request.fields).map(([name]) => name),
      callHead("up", ["grpc-timeout", "5S"], ["after", "1"]).map(([name]) => name),
      "it stays at its place",
    );
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
  });
});

test("an upstream's timeout is told to the upstream, and shortens what the caller asked for but never lengthens it", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { settings: { timeout: "2s" } });
    const cases: [asked: string | undefined, most: number, least: number][] = [
      [undefined, 2000, 1500],
      ["10S", 2000, 1500],
      ["500m", 500, 400],
      ["nonsense", 2000, 1500],
    ];
    for (const [asked, most, least] of cases) {
      const head = callHead("up", ...(asked === undefined ? [] : [["grpc-timeout", asked] as const]));
      const stream = caller.request(head, true);
      const upstream = server.peers[0] ?? (await server.peer());
      const request = await upstream.nextRequest();
      const told = timeoutOf(request.fields);
      assert.ok(told <= most && told >= least, `${told} ms for ${asked}`);
      assert.equal(request.fields.filter(({ name }) => name === "grpc-timeout").length, 1);
      upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
      await caller.answer(stream);
    }
  });
});

test("two grpc-timeouts are one after the sidecar has changed it", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { settings: { timeout: "2s" } });
    const stream = caller.request(callHead("up", ["grpc-timeout", "10S"], ["x", "1"], ["grpc-timeout", "20S"]), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    assert.equal(request.fields.filter(({ name }) => name === "grpc-timeout").length, 1);
    assert.ok(timeoutOf(request.fields) <= 2000);
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
  });
});

test("a malformed grpc-timeout is the application's to judge: it passes as it is and ends nothing", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await inboundHop(scope);
    for (const text of ["", "S", "10", "1.5S", "-1S", "+1S", "123456789S", "1 S", "1s", "0x1S", "1SS", "infinite"]) {
      const stream = caller.request(callHead("up", ["grpc-timeout", text]), true);
      const upstream = server.peers[0] ?? (await server.peer());
      const request = await upstream.nextRequest();
      assert.equal(fieldOf(request.fields, "grpc-timeout"), text);
      upstream.headers(request.stream, [...answerHead, ["grpc-status", "3"]], true);
      assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "3");
    }
  });
});

test("a deadline that passes while the server sleeps is answered in time, not before it, and the server is told", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await inboundHop(scope);
    const began = performance.now();
    const stream = caller.request(callHead("up", ["grpc-timeout", "80m"]), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    const answer = await caller.answer(stream);
    const took = performance.now() - began;
    assert.equal(fieldOf(answer.head, "grpc-status"), "4");
    assert.ok(took >= 80, `answered after ${took} ms`);
    assert.ok(took < 80 + 60, `answered after ${took} ms`);
    assert.equal((await upstream.next("reset", request.stream)).code, ErrorCode.CANCEL);
  });
});

test("a deadline that has passed already ends the call at once", async () => {
  await inScope(async (scope) => {
    const { caller } = await outboundHop(scope);
    for (const text of ["0m", "1n", "0H"]) {
      const began = performance.now();
      const answer = await caller.answer(caller.request(callHead("up", ["grpc-timeout", text]), true));
      assert.equal(fieldOf(answer.head, "outrigger-reason"), "DEADLINE_CLIENT");
      assert.ok(performance.now() - began < 60);
    }
  });
});

test("a call whose deadline had passed when it came is not made at all", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const late = await caller.answer(caller.request(callHead("up", ["grpc-timeout", "0n"]), true));
    assert.equal(fieldOf(late.head, "outrigger-reason"), "DEADLINE_CLIENT");
    caller.request(callHead("up", ["grpc-timeout", "5S"]), true);
    const upstream = await server.peer();
    const first = await upstream.nextRequest();
    assert.ok(timeoutOf(first.fields) > 1000, "the upstream hears of the second call only");
  });
});

test("a deadline holds for the whole of a stream: it ends in trailers after messages that were passed on", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up", ["grpc-timeout", "100m"]));
    caller.data(stream, message("question"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    upstream.data(request.stream, message("part"));
    const answer = await caller.answer(stream);
    assert.deepEqual(answer.data, message("part"));
    checkTrailers(answer, {
      reason: "DEADLINE_CLIENT",
      status: 4,
      direction: "outbound",
      upstream: "up",
      message: "the caller's deadline of 100ms has passed",
    });
    assert.equal((await caller.next("reset", stream)).code, ErrorCode.NO_ERROR, "a caller that still sends is stopped");
    assert.equal((await upstream.next("reset", request.stream)).code, ErrorCode.CANCEL);
  });
});

test("a server that notices the deadline first, and resets the stream, does not make the call a cancelled one", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("up", ["grpc-timeout", "10S"]), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    // Past the deadline, and the sidecar's timer has not run yet: it looks at deadlines every 8 ms.
    sidecar.clock.slip(10_001);
    upstream.reset(request.stream, ErrorCode.CANCEL);
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, "grpc-status"), "4");
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "DEADLINE_CLIENT");
  });
});

test("through two sidecars what is left gets less and less", async () => {
  await inScope(async (scope) => {
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const near = await scope.sidecar({ service: { name: "up", address: server.address } });
    const far = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [near.inbound] } } });
    const caller = await connectPeer(scope, far.outbound);
    const stream = caller.request(callHead("up", ["grpc-timeout", "1S"]), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    assert.ok(timeoutOf(request.fields) < 1000 && timeoutOf(request.fields) > 800, `${timeoutOf(request.fields)} ms`);
    upstream.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
  });
});

test("a call that is not gRPC has no deadline of gRPC's, and a configured one is a 504", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { settings: { timeout: "150ms" } });
    const stream = caller.request(
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "up"],
        ["grpc-timeout", "20m"],
      ],
      true,
    );
    const upstream = await server.peer();
    await upstream.nextRequest();
    await sleep(60);
    assert.deepEqual(
      caller.received.filter(({ kind }) => kind === "headers"),
      [],
    );
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, ":status"), "504");
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "DEADLINE_POLICY");
    assert.match(answer.data.toString(), /^DEADLINE_POLICY: the timeout of 150ms configured for up has passed\n$/);
  });
});
