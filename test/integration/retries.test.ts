import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTimeout } from "../../src/http/grpc.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead, connectPeer, message, outboundHop } from "../support/raw-call.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const ok: PlainField[] = [...answerHead, ["grpc-status", "0"]];

/** What a sidecar says of a call that its application has not seen. */
const unprocessed: PlainField[] = [
  ...answerHead,
  ["grpc-status", "14"],
  ["grpc-message", "the sidecar is shutting down"],
  ["outrigger-reason", "DRAINING"],
  ["outrigger-source", "up/inbound"],
  ["outrigger-unprocessed", "1"],
];

/** How an attempt is refused before it was processed. */
const refusals: [name: string, sidecar: boolean, refuse: (peer: RawPeer, stream: number) => void][] = [
  ["REFUSED_STREAM", false, (peer, stream) => peer.reset(stream, ErrorCode.REFUSED_STREAM)],
  ["a GOAWAY below the stream", false, (peer, stream) => peer.goaway(Math.max(0, stream - 2))],
  ["a sidecar's word", true, (peer, stream) => peer.headers(stream, unprocessed, true)],
  [
    "a sidecar's word, and that it wants no more of the request",
    true,
    (peer, stream) => {
      peer.headers(stream, unprocessed, true);
      peer.reset(stream, ErrorCode.NO_ERROR);
    },
  ],
];

/** Reads a request to its end. */
async function bodyOf(peer: RawPeer, stream: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const { data, end } = await peer.next("data", stream);
    parts.push(data);
    if (end) return Buffer.concat(parts);
  }
}

/** The next request on any connection of a server. */
async function nextRequest(server: RawServer, seen: Set<string>): Promise<{ peer: RawPeer; stream: number }> {
  let found: { peer: RawPeer; stream: number } | undefined;
  await eventually(
    () => {
      for (const [at, peer] of server.peers.entries()) {
        const message = peer.received.find(({ kind, stream }) => kind === "headers" && !seen.has(`${at} ${stream}`));
        if (message === undefined) continue;
        seen.add(`${at} ${message.stream}`);
        found = { peer, stream: message.stream };
        return true;
      }
      return false;
    },
    () => "another request",
  );
  assert.ok(found !== undefined);
  return found;
}

async function madeAgain(sidecar: Sidecar): Promise<number> {
  await sidecar.rest();
  return sidecar.lines.filter(({ msg }) => msg === "a call is made again").length;
}

test("a call that the only instance refuses with a time to come again is not made again before", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, { upstream: { sidecar: true } });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    const limited: PlainField[] = [
      ...answerHead,
      ["grpc-status", "8"],
      ["outrigger-reason", "RATE_LIMIT"],
      ["outrigger-unprocessed", "1"],
      ["grpc-retry-pushback-ms", "1000"],
    ];
    upstream.headers(request.stream, limited, true);
    const answer = await caller.answer(stream);
    assert.deepEqual(
      ["grpc-status", "outrigger-reason", "grpc-retry-pushback-ms"].map((field) => fieldOf(answer.head, field)),
      ["8", "RATE_LIMIT", "1000"],
    );
    assert.equal(await madeAgain(sidecar), 0);
  });
});

for (const [name, isSidecar, refuse] of refusals) {
  test(`a call that was refused by ${name} is made again, and its caller sees only the answer`, async () => {
    await inScope(async (scope) => {
      const { caller, server, sidecar } = await outboundHop(scope, { upstream: { sidecar: isSidecar } });
      const seen = new Set<string>();
      const stream = caller.request(callHead("up", ["x", "1"]));
      caller.data(stream, message("one"));
      const first = await nextRequest(server, seen);
      await first.peer.next("data", first.stream);
      refuse(first.peer, first.stream);
      const second = await nextRequest(server, seen);
      // What the caller sends later reaches the second attempt as well.
      caller.data(stream, message("two"), true);
      assert.deepEqual(await bodyOf(second.peer, second.stream), Buffer.concat([message("one"), message("two")]));
      second.peer.headers(second.stream, ok, true);
      const answer = await caller.answer(stream);
      assert.equal(fieldOf(answer.head, "grpc-status"), "0");
      assert.equal(answer.reset, undefined);
      assert.equal(answer.head.filter((field) => field.name.startsWith("outrigger-")).length, 0);
      const line = await sidecar.call();
      assert.deepEqual([line.attempts, line.grpc_status], [2, "OK"]);
      assert.equal(await madeAgain(sidecar), 1);
      assert.equal(await sidecar.handled({ direction: "outbound", upstream: "up", grpc_status: "OK" }), 1);
    });
  });
}

test("another endpoint is asked where there is one", async () => {
  await inScope(async (scope) => {
    const servers = [await RawServer.listen(), await RawServer.listen()];
    for (const server of servers) scope.onEnd(() => server.close());
    const endpoints = servers.map(({ address }) => address);
    const sidecar = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints } } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"), true);
    const peer = await Promise.race(servers.map((server) => server.peer()));
    const request = await peer.nextRequest();
    peer.reset(request.stream, ErrorCode.REFUSED_STREAM);
    const other = servers.find(({ peers }) => !peers.includes(peer));
    assert.ok(other !== undefined);
    const second = await nextRequest(other, new Set());
    second.peer.headers(second.stream, ok, true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    assert.deepEqual(
      servers.map(
        ({ peers }) => peers.flatMap(({ received }) => received).filter(({ kind }) => kind === "headers").length,
      ),
      [1, 1],
    );
  });
});

test("a call that everybody refuses is not carried through the whole fleet", async () => {
  await inScope(async (scope) => {
    const servers = await Promise.all(Array.from({ length: 12 }, () => RawServer.listen()));
    for (const server of servers) scope.onEnd(() => server.close());
    const endpoints = servers.map(({ address }) => address);
    const sidecar = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints } } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"), true);
    const seen = servers.map(() => new Set<string>());
    let over = false;
    const answering = caller.answer(stream).finally(() => {
      over = true;
    });
    await eventually(
      () => {
        for (const [at, server] of servers.entries())
          for (const peer of server.peers)
            for (const message of peer.received)
              if (message.kind === "headers" && !seen[at]?.has(`${message.stream}`)) {
                seen[at]?.add(`${message.stream}`);
                peer.reset(message.stream, ErrorCode.REFUSED_STREAM);
              }
        return over;
      },
      () => "an answer",
    );
    assert.equal(fieldOf((await answering).head, "outrigger-reason"), "REFUSED");
    const line = await sidecar.call();
    assert.ok(Number(line.attempts) <= 4, `${String(line.attempts)} attempts`);
  });
});

test("a request that is longer than what is kept is not made again", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up"));
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    for (let sent = 0; sent <= 65_536; sent += 8192) caller.data(stream, Buffer.alloc(8192));
    await eventually(
      () => upstream.octets(request.stream) === 65_536 + 8192,
      () => `${upstream.octets(request.stream)} octets`,
    );
    upstream.reset(request.stream, ErrorCode.REFUSED_STREAM);
    assert.equal(fieldOf((await caller.answer(stream)).head, "outrigger-reason"), "REFUSED");
    assert.equal(server.peers.length, 1);
  });
});

test("an answer that has begun is not made again", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, answerHead);
    upstream.reset(request.stream, ErrorCode.REFUSED_STREAM);
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.trailers ?? [], "outrigger-reason"), "REFUSED");
    assert.equal(await madeAgain(sidecar), 0);
  });
});

test("a connection that is lost is no proof of anything: the call is not made again", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    await upstream.nextRequest();
    upstream.goaway(1);
    upstream.destroy();
    assert.equal(fieldOf((await caller.answer(stream)).head, "outrigger-reason"), "UPSTREAM_LOST");
    assert.equal(await madeAgain(sidecar), 0);
  });
});

test("a GOAWAY leaves the streams that it names alone", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const streams = [caller.request(callHead("up"), true), caller.request(callHead("up"), true)];
    const upstream = await server.peer();
    const first = await upstream.nextRequest();
    await upstream.nextRequest();
    upstream.goaway(first.stream);
    const second = await (await server.peer()).nextRequest();
    upstream.headers(first.stream, ok, true);
    server.peers[1]?.headers(second.stream, ok, true);
    for (const stream of streams) assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
  });
});

test("the word of one who is no sidecar is not believed: it is an answer, without our fields", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, unprocessed, true);
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, "grpc-status"), "14");
    assert.deepEqual(
      answer.head.filter((field) => field.name.startsWith("outrigger-")),
      [],
    );
    assert.equal(await madeAgain(sidecar), 0);
    assert.equal((await sidecar.call()).origin, "app");
  });
});

test("a sidecar's word holds in Trailers-Only alone, and is consumed wherever it stands", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope, { upstream: { sidecar: true } });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    upstream.headers(request.stream, [...answerHead, ["outrigger-unprocessed", "1"]]);
    upstream.headers(
      request.stream,
      [
        ["grpc-status", "14"],
        ["outrigger-reason", "UPSTREAM_LOST"],
        ["outrigger-unprocessed", "1"],
      ],
      true,
    );
    const answer = await caller.answer(stream);
    assert.equal(fieldOf(answer.head, "outrigger-unprocessed"), undefined);
    assert.equal(fieldOf(answer.trailers ?? [], "outrigger-unprocessed"), undefined);
    assert.equal(fieldOf(answer.trailers ?? [], "outrigger-reason"), "UPSTREAM_LOST");
    assert.equal(await madeAgain(sidecar), 0);
    const line = await sidecar.call();
    assert.deepEqual([line.origin, line.reason], ["peer", "UPSTREAM_LOST"]);
  });
});

test("the deadline holds over all attempts", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope);
    const stream = caller.request(callHead("up", ["grpc-timeout", "120m"]), true);
    const upstream = await server.peer();
    const first = await upstream.nextRequest();
    await new Promise((resolve) => setTimeout(resolve, 60));
    upstream.reset(first.stream, ErrorCode.REFUSED_STREAM);
    const second = await upstream.nextRequest();
    const told = parseTimeout(fieldOf(second.fields, "grpc-timeout") ?? "");
    assert.ok(told !== undefined && told <= 60, `${told} ms`);
    assert.equal(fieldOf((await caller.answer(stream)).head, "outrigger-reason"), "DEADLINE_CLIENT");
    assert.equal((await upstream.next("reset", second.stream)).code, ErrorCode.CANCEL);
  });
});

/** Two applications `up`, each beside a sidecar, and a caller's sidecar that knows both. */
async function twoReplicas(scope: Scope) {
  const applications = [await RawServer.listen(), await RawServer.listen()];
  for (const server of applications) scope.onEnd(() => server.close());
  const replicas: Sidecar[] = [];
  for (const { address } of applications) replicas.push(await scope.sidecar({ service: { name: "up", address } }));
  const endpoints = replicas.map(({ inbound }) => inbound);
  const sidecar = await scope.sidecar({
    upstreams: { up: { discovery: "static", endpoints, balancer: "roundRobin" } },
  });
  return { applications, replicas, sidecar, caller: await connectPeer(scope, sidecar.outbound) };
}

test("an application that refuses a call is told by its sidecar, and the caller's sidecar asks another replica", async () => {
  await inScope(async (scope) => {
    const { applications, caller, sidecar, replicas } = await twoReplicas(scope);
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("hello"), true);
    const first = await Promise.race(applications.map((server) => server.peer()));
    const refused = await first.nextRequest();
    await bodyOf(first, refused.stream);
    first.reset(refused.stream, ErrorCode.REFUSED_STREAM);
    const other = applications.find(({ peers }) => !peers.includes(first));
    assert.ok(other !== undefined);
    const second = await nextRequest(other, new Set());
    assert.deepEqual(await bodyOf(second.peer, second.stream), message("hello"));
    second.peer.headers(second.stream, ok, true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    assert.equal(await madeAgain(sidecar), 1);
    assert.equal(replicas.flatMap(({ calls }) => calls).filter(({ reason }) => reason === "REFUSED").length, 1);
  });
});

test("a replica that drains hands its late calls to another", async () => {
  await inScope(async (scope) => {
    const { applications, caller, sidecar, replicas } = await twoReplicas(scope);
    const answer = async (peer: RawPeer): Promise<void> => {
      for (;;) {
        const { stream } = await peer.nextRequest(60_000);
        peer.headers(stream, ok, true);
      }
    };
    const serve = async (server: RawServer): Promise<void> => {
      for (;;) answer(await server.peer(60_000)).catch(() => {});
    };
    for (const server of applications) serve(server).catch(() => {});
    const call = async (): Promise<string | undefined> => {
      const answer = await caller.answer(caller.request(callHead("up"), true));
      return fieldOf(answer.head, "grpc-status");
    };
    for (let at = 0; at < 4; at++) assert.equal(await call(), "0");
    const pending = Array.from({ length: 20 }, call);
    replicas[0]?.runtime.listeners.inbound?.acceptor.shutdown("draining");
    pending.push(...Array.from({ length: 20 }, call));
    assert.deepEqual(new Set(await Promise.all(pending)), new Set(["0"]));
    assert.equal(sidecar.calls.filter(({ reason }) => reason !== undefined).length, 0);
  });
});
