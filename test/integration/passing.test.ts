import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlainField } from "../support/hpack-peer.ts";
import { sampleValue } from "../support/prometheus.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { pairsOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

interface Path {
  readonly caller: RawPeer;
  readonly server: RawServer;
  readonly sidecars: readonly Sidecar[];
}

async function path(scope: Scope, hops: 1 | 2): Promise<Path> {
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const near = hops === 1 ? undefined : await scope.sidecar({ service: { name: "up", address: server.address } });
  const endpoints = [near?.inbound ?? server.address];
  const far = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints } } });
  return { caller: await connectPeer(scope, far.outbound), server, sidecars: near === undefined ? [far] : [far, near] };
}

/** Begins a call and gives its stream at either end. */
async function begin({ caller, server }: Path, end = false) {
  const stream = caller.request(callHead("up"), end);
  const upstream = server.peers[0] ?? (await server.peer());
  const request = await upstream.nextRequest();
  assert.equal(request.end, end);
  return { stream, upstream, at: request.stream };
}

for (const hops of [1, 2] as const) {
  const through = hops === 1 ? "one sidecar" : "two sidecars";

  test(`Trailers-Only is one head through ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made, true);
      const fields: PlainField[] = [...answerHead, ["grpc-status", "5"], ["grpc-message", "no such %E2%82%AC%0A"]];
      upstream.headers(at, fields, true);
      const answer = await made.caller.answer(stream);
      assert.deepEqual(pairsOf(answer.head), fields);
      assert.equal(answer.trailers, undefined);
      const line = await made.sidecars[0]?.call();
      assert.deepEqual([line?.grpc_status, line?.reason, line?.origin], ["NOT_FOUND", undefined, "app"]);
    });
  });

  test(`interim answers come in their order before the head through ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made, true);
      const interim: PlainField[][] = [
        [[":status", "100"]],
        [
          [":status", "103"],
          ["link", "</a>"],
          ["link", "</b>"],
        ],
      ];
      for (const fields of interim) upstream.headers(at, fields);
      upstream.headers(at, [...answerHead, ["grpc-status", "0"]], true);
      const answer = await made.caller.answer(stream);
      assert.deepEqual(answer.interim.map(pairsOf), interim);
    });
  });

  test(`messages of no octets, empty DATA and an end by itself pass ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made);
      made.caller.data(stream, message(""));
      made.caller.data(stream, Buffer.alloc(0));
      made.caller.data(stream, message(""));
      made.caller.data(stream, Buffer.alloc(0), true);
      await eventually(
        () => upstream.received.some((frame) => frame.kind === "data" && frame.end),
        () => "the end of the request",
      );
      assert.equal(upstream.octets(at), 10);
      upstream.headers(at, answerHead);
      upstream.data(at, message(""));
      upstream.data(at, Buffer.alloc(0));
      upstream.headers(at, [["grpc-status", "0"]], true);
      const answer = await made.caller.answer(stream);
      assert.deepEqual(answer.data, message(""));
      assert.deepEqual(pairsOf(answer.trailers ?? []), [["grpc-status", "0"]]);
    });
  });

  test(`an answer that ends with DATA ends so through ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made, true);
      upstream.headers(at, answerHead);
      upstream.data(at, Buffer.from("the end"), true);
      const answer = await made.caller.answer(stream);
      assert.equal(answer.data.toString(), "the end");
      assert.equal(answer.trailers, undefined);
      // gRPC: a stream without trailers has no status, which is UNKNOWN.
      assert.equal((await made.sidecars[0]?.call())?.grpc_status, "UNKNOWN");
    });
  });

  test(`a request's trailers pass ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made);
      made.caller.data(stream, message("m"));
      made.caller.headers(
        stream,
        [
          ["x-checksum", "abc"],
          ["x-checksum", "def"],
        ],
        true,
      );
      const trailers = await upstream.next("headers", at);
      assert.deepEqual(pairsOf(trailers.fields), [
        ["x-checksum", "abc"],
        ["x-checksum", "def"],
      ]);
      assert.ok(trailers.end);
      upstream.headers(at, [...answerHead, ["grpc-status", "0"]], true);
      await made.caller.answer(stream);
    });
  });

  test(`messages go back and forth through ${through}, each as soon as it is there`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const { stream, upstream, at } = await begin(made);
      upstream.headers(at, answerHead);
      for (let round = 0; round < 10; round++) {
        made.caller.data(stream, message(`ping ${round}`));
        assert.deepEqual((await upstream.next("data", at)).data, message(`ping ${round}`));
        upstream.data(at, message(`pong ${round}`));
        assert.deepEqual((await made.caller.next("data", stream)).data, message(`pong ${round}`));
      }
      made.caller.data(stream, Buffer.alloc(0), true);
      assert.ok((await upstream.next("data", at)).end);
      upstream.headers(at, [["grpc-status", "0"]], true);
      assert.ok((await made.caller.next("headers", stream)) !== undefined);
    });
  });

  test(`the answer may end before the request, and the request before the answer, through ${through}`, async () => {
    await inScope(async (scope) => {
      const made = await path(scope, hops);
      const early = await begin(made);
      early.upstream.headers(early.at, [...answerHead, ["grpc-status", "0"]], true);
      await made.caller.answer(early.stream);
      made.caller.data(early.stream, message("late"), true);
      await eventually(
        () => early.upstream.received.some((frame) => frame.kind === "data" && frame.stream === early.at && frame.end),
        () => "the rest of the request",
      );
      const late = await begin(made);
      made.caller.data(late.stream, message("all"), true);
      assert.ok((await late.upstream.next("data", late.at)).end);
      late.upstream.headers(late.at, answerHead);
      late.upstream.data(late.at, message("a"));
      late.upstream.data(late.at, message("b"));
      late.upstream.headers(late.at, [["grpc-status", "0"]], true);
      assert.deepEqual((await made.caller.answer(late.stream)).data, Buffer.concat([message("a"), message("b")]));
    });
  });
}

test("octets are counted both ways, in the log and in the metrics", async () => {
  await inScope(async (scope) => {
    const made = await path(scope, 2);
    const { stream, upstream, at } = await begin(made);
    made.caller.data(stream, Buffer.alloc(300));
    made.caller.data(stream, Buffer.alloc(4000), true);
    await eventually(
      () => upstream.octets(at) === 4300,
      () => "the request",
    );
    upstream.headers(at, answerHead);
    upstream.data(at, Buffer.alloc(10_000));
    upstream.headers(at, [["grpc-status", "0"]], true);
    await made.caller.answer(stream);
    for (const [at, sidecar] of made.sidecars.entries()) {
      const line = await sidecar.call();
      assert.deepEqual([line.bytes_received, line.bytes_sent], [4300, 10_000]);
      const labels = { direction: at === 0 ? "outbound" : "inbound", upstream: "up" };
      const families = await sidecar.metrics();
      assert.equal(sampleValue(families, "outrigger_bytes_total", { ...labels, way: "received" }), 4300);
      assert.equal(sampleValue(families, "outrigger_bytes_total", { ...labels, way: "sent" }), 10_000);
    }
  });
});

test("what is kept of a request for another attempt is let go once the answer has begun", async () => {
  await inScope(async (scope) => {
    const made = await path(scope, 1);
    const [sidecar] = made.sidecars;
    assert.ok(sidecar !== undefined);
    const { stream, upstream, at } = await begin(made);
    made.caller.data(stream, Buffer.alloc(5000));
    await upstream.next("data", at);
    assert.equal(sidecar.shared.room.octets, 5000, "kept while the call may be made again");
    upstream.headers(at, answerHead);
    await made.caller.next("headers", stream);
    assert.equal(sidecar.shared.room.octets, 0);
    made.caller.data(stream, Buffer.alloc(5000), true);
    await upstream.next("data", at);
    assert.equal(sidecar.shared.room.octets, 0, "and nothing more is");
    upstream.headers(at, [["grpc-status", "0"]], true);
    assert.ok((await made.caller.next("headers", stream)).end);
  });
});

test("an answer that is not gRPC passes for a call that is not", async () => {
  await inScope(async (scope) => {
    const made = await path(scope, 2);
    const head: PlainField[] = [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", "up"],
      [":path", "/health?x=1"],
    ];
    const stream = made.caller.request(head, true);
    const upstream = await made.server.peer();
    const request = await upstream.nextRequest();
    assert.deepEqual(pairsOf(request.fields), head);
    const fields: PlainField[] = [
      [":status", "404"],
      ["content-type", "text/plain"],
      ["content-length", "4"],
    ];
    upstream.headers(request.stream, fields);
    upstream.data(request.stream, Buffer.from("none"), true);
    const answer = await made.caller.answer(stream);
    assert.deepEqual(pairsOf(answer.head), fields);
    assert.equal(answer.data.toString(), "none");
  });
});

test("a refusal of a call that is not gRPC is an HTTP answer that says why", async () => {
  await inScope(async (scope) => {
    const { caller } = await path(scope, 1);
    const stream = caller.request(
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":authority", "no.such.name"],
        [":path", "/"],
      ],
      true,
    );
    const answer = await caller.answer(stream);
    const body = "NO_ROUTE: no upstream is called no.such.name, and it may not be looked up\n";
    assert.deepEqual(pairsOf(answer.head), [
      [":status", "404"],
      ["content-type", "text/plain; charset=utf-8"],
      ["content-length", String(body.length)],
      ["outrigger-reason", "NO_ROUTE"],
      ["outrigger-source", "unnamed/outbound"],
    ]);
    assert.equal(answer.data.toString(), body);
  });
});
