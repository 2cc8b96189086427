import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseTimeout } from "../../src/http/grpc.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { SettingId } from "../../src/http2/settings.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { sampleValue } from "../support/prometheus.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const IDEMPOTENT = { idempotentMethods: ["test.v1.Test/Call"], backoff: { base: "1ms", max: "2ms" } };

interface World {
  readonly servers: ScriptedServer[];
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
}

/** A caller, a sidecar with a retry policy, and a scripted server for each script. */
async function world(scope: Scope, retry: object, ...scripts: (readonly Act[])[]): Promise<World> {
  const servers: ScriptedServer[] = [];
  for (const script of scripts) servers.push(await ScriptedServer.start(scope, ...script));
  const sidecar = await scope.sidecar({
    upstreams: {
      up: {
        discovery: "static",
        endpoints: servers.map(({ address }) => address),
        retry: { ...IDEMPOTENT, ...retry },
      },
    },
  });
  return { servers, sidecar, caller: await connectPeer(scope, sidecar.outbound) };
}

async function call(caller: RawPeer, ...metadata: PlainField[]): Promise<RawAnswer> {
  const stream = caller.request(callHead("up", ...metadata));
  caller.data(stream, message("ask"), true);
  return await caller.answer(stream);
}

function statusOf({ head, trailers }: RawAnswer): string | undefined {
  return fieldOf(trailers ?? head, "grpc-status");
}

const hedges = async (sidecar: Sidecar) =>
  sampleValue(await sidecar.metrics(), "outrigger_retries_total", { upstream: "up", kind: "hedge" });

const lost: Act = (peer) => peer.destroy();
const reset =
  (code: ErrorCode): Act =>
  (peer, stream) =>
    peer.reset(stream, code);
const ok = inTrailers(0, ["answer"]);
/** A part of an answer, and then the connection is lost. */
const partly =
  (...messages: readonly string[]): Act =>
  (peer, stream) => {
    peer.headers(stream, answerHead);
    for (const text of messages) peer.data(stream, message(text));
    peer.end();
  };
/** The same of a message in two frames, of more octets than are kept back. */
const long: Act = (peer, stream) => {
  const octets = message("x".repeat(20_000));
  peer.headers(stream, answerHead);
  peer.data(stream, octets.subarray(0, 15_000));
  peer.data(stream, octets.subarray(15_000));
  peer.end();
};

const settings = (streams: number) => ({ settings: [[SettingId.MAX_CONCURRENT_STREAMS, streams] as const] });
/** A server that takes one stream at once: the second attempt at a call waits for the end of the first. */
const oneAtATime = (scope: Scope, ...script: readonly Act[]): Promise<ScriptedServer> =>
  ScriptedServer.startWith(scope, settings(1), ...script);

/** gRFC A6, what ends an attempt and whether another follows: the acts of the server, and what the caller gets after how many. */
const table: [what: string, script: Act[], retry: object, status: string, attempts: number][] = [
  ["a retried status in Trailers-Only", [trailersOnly(14), ok], {}, "0", 2],
  ["a retried status in trailers, nothing given to the caller", [inTrailers(14), ok], {}, "0", 2],
  ["a retried status in trailers after a message that nobody has", [inTrailers(14, ["part"]), ok], {}, "0", 2],
  ["a retried status in trailers after two messages", [inTrailers(14, ["part", "another"]), ok], {}, "14", 1],
  ["a connection that is lost after the message and before the end", [partly("part"), ok], {}, "0", 2],
  ["the same after two messages", [partly("part", "another"), ok], {}, "14", 1],
  ["the same after a long message", [long, ok], {}, "14", 1],
  ["the same in the last attempt", [partly("part")], { attempts: 2 }, "14", 2],
  ["a status that is not retried", [trailersOnly(5), ok], {}, "5", 1],
  ["a status that is not retried, in trailers", [inTrailers(7), ok], {}, "7", 1],
  ["an answer", [ok], {}, "0", 1],
  ["an answer without a message", [inTrailers(0)], {}, "0", 1],
  [
    "other statuses, where they are named",
    [trailersOnly(8), inTrailers(10), ok],
    { statuses: ["resourceExhausted", "aborted"] },
    "0",
    3,
  ],
  ["attempts that all fail", [trailersOnly(14)], { attempts: 4 }, "14", 4],
  ["attempts that all fail, in trailers", [inTrailers(14, [], ["grpc-message", "no"])], { attempts: 2 }, "14", 2],
  ["a connection that is lost", [lost, ok], {}, "0", 2],
  ["a stream that is reset as cancelled, which is not retried", [reset(ErrorCode.CANCEL), ok], {}, "1", 1],
  [
    "a stream that is reset, where its status is named",
    [reset(ErrorCode.INTERNAL_ERROR), ok],
    { statuses: ["internal"] },
    "0",
    2,
  ],
  ["pushback of no time", [trailersOnly(14, ["grpc-retry-pushback-ms", "0"]), ok], {}, "0", 2],
  ["pushback in trailers", [inTrailers(14, [], ["grpc-retry-pushback-ms", "3"]), ok], {}, "0", 2],
  ["negative pushback", [trailersOnly(14, ["grpc-retry-pushback-ms", "-1"]), ok], {}, "14", 1],
  ["pushback that is no number", [inTrailers(14, [], ["grpc-retry-pushback-ms", "soon"]), ok], {}, "14", 1],
  [
    "a method that nobody calls idempotent",
    [trailersOnly(14), ok],
    { idempotentMethods: ["other.v1.Other/*"] },
    "14",
    1,
  ],
  [
    "a method of a service that is idempotent as a whole",
    [trailersOnly(14), ok],
    { idempotentMethods: ["test.v1.Test/*"] },
    "0",
    2,
  ],
  ["hedging, a status that is not fatal", [trailersOnly(14), ok], { hedgeAfter: "60s" }, "0", 2],
  ["hedging, a fatal status", [trailersOnly(3), ok], { hedgeAfter: "60s" }, "3", 1],
  ["hedging, no answer", [silence, ok], { hedgeAfter: "20ms", attempts: 2 }, "0", 2],
  [
    "hedging, negative pushback",
    [trailersOnly(14, ["grpc-retry-pushback-ms", "-1"]), ok],
    { hedgeAfter: "60s" },
    "14",
    1,
  ],
  ["an attempt that takes too long", [silence, ok], { perTryTimeout: "300ms" }, "0", 2],
  ["attempts that all take too long", [silence], { perTryTimeout: "300ms", attempts: 2 }, "14", 2],
];

for (const [what, script, retry, status, attempts] of table) {
  test(`gRFC A6, ${what}: ${attempts} attempts, status ${status}`, async () => {
    await inScope(async (scope) => {
      const { servers, sidecar, caller } = await world(scope, retry, script);
      const answer = await call(caller);
      assert.equal(statusOf(answer), status);
      const line = await sidecar.call();
      assert.equal(line.attempts, attempts);
      await sidecar.rest();
      const [server] = servers;
      assert.deepEqual(server?.previous, [undefined, "1", "2", "3"].slice(0, attempts), "what each attempt says");
      const before = fieldOf(answer.head, "grpc-previous-rpc-attempts");
      const answered = fieldOf(answer.head, "outrigger-reason") === undefined;
      assert.equal(before, attempts > 1 && answered ? String(attempts - 1) : undefined);
      const proofs = sidecar.lines.filter(({ proof }) => typeof proof === "string");
      assert.equal(proofs.length, attempts - 1, "each further attempt logs why it does no harm");
      for (const { proof } of proofs) assert.equal(proof, "the configuration declares the method idempotent");
      if (status === "0" && attempts > 1) assert.equal(answer.data.toString("latin1").slice(5), "answer");
    });
  });
}

test("the first message of an answer that goes on is given to the caller soon, and then there is no other attempt", async () => {
  await inScope(async (scope) => {
    const begin: Act = (peer, stream) => {
      peer.headers(stream, answerHead);
      peer.data(stream, message("first"));
    };
    const { servers, sidecar, caller } = await world(scope, { perTryTimeout: "60s", hedgeAfter: "50s" }, [begin, ok]);
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("ask"), true);
    const { data } = await caller.next("data", stream);
    assert.deepEqual(data, message("first"));
    sidecar.clock.jump(120_000);
    caller.reset(stream, ErrorCode.CANCEL);
    await sidecar.rest();
    assert.equal(servers[0]?.requests.length, 1);
  });
});

test("the request is sent again whole, what its caller sends later included", async () => {
  await inScope(async (scope) => {
    const bodies: Promise<Buffer>[] = [];
    const read = async (peer: RawPeer, stream: number): Promise<Buffer> => {
      const parts: Buffer[] = [];
      for (;;) {
        const { data, end } = await peer.next("data", stream);
        parts.push(data);
        if (end) return Buffer.concat(parts);
      }
    };
    const second: Act = (peer, stream) => {
      const body = read(peer, stream);
      bodies.push(body);
      void body.then(() => ok(peer, stream));
    };
    const { sidecar, caller } = await world(scope, {}, [trailersOnly(14), second]);
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("one"));
    await eventually(
      () => bodies.length === 1,
      () => "the second attempt",
    );
    caller.data(stream, message("two"), true);
    assert.equal(statusOf(await caller.answer(stream)), "0");
    assert.deepEqual(await bodies[0], Buffer.concat([message("one"), message("two")]));
    await sidecar.rest();
  });
});

test("a request that is larger than what is kept of it is not made again", async () => {
  await inScope(async (scope) => {
    const late: Act = (peer, stream) =>
      void peer.next("data", stream).then(() => setTimeout(() => trailersOnly(14)(peer, stream), 100));
    const { sidecar, caller } = await world(scope, {}, [ok, late, ok]);
    // There is a connection: what is sent is not kept for want of one.
    await call(caller);
    const stream = caller.request(callHead("up"));
    for (let at = 0; at < 6; at++) caller.data(stream, Buffer.alloc(16_000));
    assert.equal(statusOf(await caller.answer(stream)), "14");
    assert.equal((await sidecar.call(1)).attempts, 1);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_retries_refused_total", { upstream: "up", why: "buffer" }), 1);
    caller.reset(stream, ErrorCode.CANCEL);
  });
});

test("another instance is asked first, and the same one where there is no other", async () => {
  await inScope(async (scope) => {
    const { servers, caller } = await world(
      scope,
      { attempts: 4 },
      [trailersOnly(14)],
      [trailersOnly(14)],
      [trailersOnly(14)],
    );
    assert.equal(statusOf(await call(caller)), "14");
    assert.deepEqual(
      servers.map(({ requests }) => requests.length).toSorted((a, b) => a - b),
      [1, 1, 2],
    );
  });
});

test("an answer that came while this process stood still is in time, and silence is none", async () => {
  await inScope(async (scope) => {
    const asked: (() => void)[] = [];
    const hold: Act = (peer, stream) => void asked.push(() => ok(peer, stream));
    const { servers, sidecar, caller } = await world(scope, { perTryTimeout: "60s", attempts: 2 }, [hold]);
    const attempts = (count: number): Promise<void> =>
      eventually(
        () => asked.length === count,
        () => `${asked.length} attempts`,
      );
    const answer = call(caller);
    await attempts(1);
    sidecar.clock.jump(61_000);
    asked[0]?.();
    assert.equal(statusOf(await answer), "0");
    assert.equal(servers[0]?.requests.length, 1);
    const silent = call(caller);
    await attempts(2);
    sidecar.clock.jump(61_000);
    await attempts(3);
    asked[2]?.();
    assert.equal(statusOf(await silent), "0");
  });
});

test("where every instance was asked, the next attempt goes to another than the last", async () => {
  await inScope(async (scope) => {
    const { servers, caller } = await world(scope, { attempts: 6 }, [trailersOnly(14)], [trailersOnly(14)]);
    assert.equal(statusOf(await call(caller)), "14");
    const previous = servers.map((server) => server.previous);
    assert.deepEqual(new Set(previous.map((each) => each.join())), new Set([",2,4", "1,3,5"]));
  });
});

test("between attempts the clock goes on by no more than the bound, which doubles", async () => {
  await inScope(async (scope) => {
    const backoff = { base: "1h", max: "3h" };
    const { servers, sidecar, caller } = await world(scope, { attempts: 4, backoff }, [trailersOnly(14)]);
    const answer = call(caller);
    const made = (count: number): Promise<void> =>
      eventually(
        () => servers[0]?.requests.length === count,
        () => `attempt ${count}`,
      );
    await made(1);
    for (const [at, bound] of [1, 2, 3].entries()) {
      await eventually(
        () => sidecar.lines.filter(({ msg }) => msg === "a call is made again").length === at + 1,
        () => `retry ${at + 1} is decided`,
      );
      sidecar.clock.jump(bound * 3_600_000);
      await made(at + 2);
    }
    assert.equal(statusOf(await answer), "14");
  });
});

test("a server's pushback is waited for", async () => {
  await inScope(async (scope) => {
    const { servers, sidecar, caller } = await world(scope, {}, [
      trailersOnly(14, ["grpc-retry-pushback-ms", "60000"]),
      ok,
    ]);
    const answer = call(caller);
    await eventually(
      () => sidecar.lines.some(({ msg }) => msg === "a call is made again"),
      () => "the retry",
    );
    await sleep(30);
    assert.equal(servers[0]?.requests.length, 1);
    sidecar.clock.jump(60_100);
    assert.equal(statusOf(await answer), "0");
  });
});

test("no attempt is begun that could not be answered before the deadline", async () => {
  await inScope(async (scope) => {
    const { servers, sidecar, caller } = await world(scope, {}, [
      trailersOnly(14, ["grpc-retry-pushback-ms", "60000"]),
      ok,
    ]);
    assert.equal(statusOf(await call(caller, ["grpc-timeout", "2S"])), "14");
    assert.equal(servers[0]?.requests.length, 1);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_retries_refused_total", { upstream: "up", why: "deadline" }), 1);
  });
});

test("the deadline ends a call between two attempts, and every attempt is told what is left", async () => {
  await inScope(async (scope) => {
    const { servers, caller, sidecar } = await world(scope, { perTryTimeout: "200ms" }, [silence]);
    const answer = await call(caller, ["grpc-timeout", "390m"]);
    assert.equal(fieldOf(answer.head, "outrigger-reason"), "DEADLINE_CLIENT");
    const [first, second] = servers[0]?.requests ?? [];
    const left = (fields: Parameters<typeof fieldOf>[0] = []) =>
      parseTimeout(fieldOf(fields, "grpc-timeout") ?? "") ?? 0;
    assert.ok(left(first?.fields) <= 390 && left(first?.fields) > left(second?.fields) + 190);
    await sidecar.rest();
  });
});

test("the losing attempt of a hedge is cancelled, and the caller sees one answer", async () => {
  await inScope(async (scope) => {
    const slow: Act = (peer, stream) => setTimeout(() => ok(peer, stream), 60_000).unref();
    const { servers, caller, sidecar } = await world(scope, { hedgeAfter: "20ms", attempts: 2 }, [slow], [slow]);
    // Which of the two is asked first is the balancer's business.
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("ask"), true);
    await eventually(
      () => servers.every(({ requests }) => requests.length === 1),
      () => "both are asked",
    );
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_retries_total", { upstream: "up", kind: "hedge" }), 1);
    caller.reset(stream, ErrorCode.CANCEL);
    await eventually(
      () => servers.every(({ resets }) => resets.length === 1),
      () => "both are cancelled",
    );
    await sidecar.rest();
  });
});

test("a hedge goes to another endpoint than the attempt that it stands beside", async () => {
  await inScope(async (scope) => {
    const servers = [await ScriptedServer.start(scope, silence), await ScriptedServer.start(scope, ok)];
    const endpoints = servers.map(({ address }) => address);
    const retry = { ...IDEMPOTENT, hedgeAfter: "10ms", attempts: 2 };
    const up = { discovery: "static", balancer: "pickFirst", endpoints, retry };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    assert.equal(statusOf(await call(await connectPeer(scope, sidecar.outbound))), "0");
    assert.deepEqual(
      servers.map(({ requests }) => requests.length),
      [1, 1],
    );
  });
});

test("a hedge that waits for a connection ends no call whose first attempt is under way", async () => {
  await inScope(async (scope) => {
    let finish: (() => void) | undefined;
    const server = await oneAtATime(scope, (peer, stream) => {
      finish = () => ok(peer, stream);
    });
    const retry = { ...IDEMPOTENT, hedgeAfter: "10ms", attempts: 2 };
    const up = { discovery: "static", endpoints: [server.address], limits: { maxConnections: 1 }, retry };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const answer = call(await connectPeer(scope, sidecar.outbound));
    await eventually(
      async () => finish !== undefined && (await hedges(sidecar)) === 1,
      () => "a hedge",
    );
    // Longer than a call may wait.
    sidecar.clock.jump(60_000);
    finish?.();
    assert.equal(statusOf(await answer), "0");
    assert.equal(server.requests.length, 1);
  });
});

test("a hedge that waits for a connection is what its call waits for once the first attempt has failed", async () => {
  await inScope(async (scope) => {
    let fail: (() => void) | undefined;
    const first = await ScriptedServer.start(scope, (peer, stream) => {
      fail = () => trailersOnly(14)(peer, stream);
    });
    // Takes no stream at all.
    const second = await ScriptedServer.startWith(scope, settings(0), silence);
    const endpoints = [first.address, second.address];
    const retry = { ...IDEMPOTENT, hedgeAfter: "10ms", attempts: 2 };
    const sidecar = await scope.sidecar({
      upstreams: { up: { discovery: "static", balancer: "pickFirst", endpoints, retry } },
    });
    const answer = call(await connectPeer(scope, sidecar.outbound));
    await eventually(
      async () => fail !== undefined && (await hedges(sidecar)) === 1,
      () => "a hedge",
    );
    assert.equal(sidecar.shared.room.calls, 0);
    fail?.();
    await eventually(
      () => sidecar.shared.room.calls === 1,
      () => "the call waits",
    );
    sidecar.clock.jump(60_000);
    assert.equal(statusOf(await answer), "14");
  });
});

test("the budget bounds further attempts to a hundred where there are few calls", async () => {
  await inScope(async (scope) => {
    const { servers, sidecar, caller } = await world(scope, { attempts: 10, budget: "0%" }, [trailersOnly(14)]);
    for (let at = 0; at < 20; at++) assert.equal(statusOf(await call(caller)), "14");
    assert.equal(servers[0]?.requests.length, 120);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_retries_total", { upstream: "up", kind: "retry" }), 100);
    assert.ok((sampleValue(metrics, "outrigger_retries_refused_total", { upstream: "up", why: "budget" }) ?? 0) > 0);
    assert.equal(sampleValue(metrics, "outrigger_retry_budget", { upstream: "up", value: "allowed" }), 100);
  });
});

test("the budget bounds hedges, too: a call that is too slow stays with its one attempt", async () => {
  await inScope(async (scope) => {
    const { servers, sidecar, caller } = await world(scope, { attempts: 10, budget: "0%", hedgeAfter: "1ms" }, [
      silence,
    ]);
    const streams = Array.from({ length: 20 }, () => {
      const stream = caller.request(callHead("up"));
      caller.data(stream, message("ask"), true);
      return stream;
    });
    const refused = async () =>
      sampleValue(await sidecar.metrics(), "outrigger_retries_refused_total", { upstream: "up", why: "budget" }) ?? 0;
    await eventually(
      async () => servers[0]?.requests.length === 120 && (await refused()) > 0,
      () => `${servers[0]?.requests.length} requests`,
    );
    for (const stream of streams) caller.reset(stream, ErrorCode.CANCEL);
    assert.equal(servers[0]?.requests.length, 120);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_retries_total", { upstream: "up", kind: "hedge" }), 100);
    await sidecar.rest();
  });
});
