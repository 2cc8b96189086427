import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { good } from "../config/load-text.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, wholeConfig } from "../support/with-proxy.ts";

const BREAKER = { minimumRequests: 3, openFor: "60s" };

async function call(caller: RawPeer, path = "/test.v1.Test/Call"): Promise<RawAnswer> {
  const head = callHead("up").map(([name, value]) => [name, name === ":path" ? path : value] as const);
  return await caller.answer(caller.request(head, true));
}

const statusOf = ({ head, trailers }: RawAnswer) => fieldOf(trailers ?? head, "grpc-status");
const reasonOf = ({ head }: RawAnswer) => fieldOf(head, "outrigger-reason");

test("where too many calls fail the next ones are refused, and the metrics say so", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, trailersOnly(14));
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker: BREAKER };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) assert.equal(reasonOf(await call(caller)), undefined);
    const refused = await call(caller);
    assert.deepEqual([statusOf(refused), reasonOf(refused)], ["14", "CIRCUIT_OPEN"]);
    assert.match(
      decodeURIComponent(fieldOf(refused.head, "grpc-message") ?? ""),
      /^the circuit breaker of up is open: 3 of 3 calls in 10s failed; the next try is in \d+(\.\d)?s$/,
    );
    assert.equal(server.requests.length, 3);
    const metrics = await sidecar.metrics();
    const labels = { upstream: "up", method: "" };
    assert.equal(sampleValue(metrics, "outrigger_circuit_breaker_state", labels), 2);
    assert.equal(sampleValue(metrics, "outrigger_circuit_breaker_opened_total", labels), 1);
    assert.equal(sampleValue(metrics, "outrigger_circuit_breaker_refused_total", labels), 1);
  });
});

test("after a while one real call tries again, and with its answer all pass", async () => {
  await inScope(async (scope) => {
    const no = trailersOnly(14);
    const server = await ScriptedServer.start(scope, no, no, no, inTrailers(0, ["yes"]));
    const circuitBreaker = { ...BREAKER, openFor: "50ms" };
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) await call(caller);
    await eventually(
      async () => statusOf(await call(caller)) === "0",
      () => "an answer",
    );
    assert.equal(statusOf(await call(caller)), "0");
    assert.ok(sidecar.lines.some(({ msg }) => msg === "the circuit breaker is closed again"));
  });
});

test("a reload that does not concern it leaves it open, and one that changes it begins anew", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, trailersOnly(14));
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker: BREAKER };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) await call(caller);
    const apply = async (upstream: object) => {
      const config = good(JSON.stringify(wholeConfig({ upstreams: { up: upstream } })));
      assert.equal((await sidecar.runtime.apply(config)).kind, "applied");
    };
    await apply({ ...up, timeout: "3s" });
    assert.equal(reasonOf(await call(caller)), "CIRCUIT_OPEN");
    await apply({ ...up, circuitBreaker: { ...BREAKER, minimumRequests: 2 } });
    assert.equal(reasonOf(await call(caller)), undefined);
  });
});

test("another upstream stands in while it is open, or a status of one's choice", async () => {
  await inScope(async (scope) => {
    const broken = await ScriptedServer.start(scope, trailersOnly(14));
    const spare = await ScriptedServer.start(scope, inTrailers(0, ["spare"]));
    const upstream = (fallback: object) => ({
      discovery: "static",
      endpoints: [broken.address],
      circuitBreaker: { ...BREAKER, fallback },
    });
    const sidecar = await scope.sidecar({
      upstreams: {
        up: upstream({ upstream: "spare" }),
        other: upstream({ status: "resourceExhausted" }),
        spare: { discovery: "static", endpoints: [spare.address] },
      },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) await call(caller);
    const answer = await call(caller);
    assert.deepEqual([statusOf(answer), answer.data.toString("latin1").slice(5)], ["0", "spare"]);
    assert.equal((await sidecar.call(3)).upstream, "up", "it is counted where it was meant for");

    const other = () => caller.answer(caller.request(callHead("other"), true));
    for (let at = 0; at < 3; at++) await other();
    const refused = await other();
    assert.deepEqual([statusOf(refused), reasonOf(refused)], ["8", "CIRCUIT_OPEN"]);
  });
});

test("callers that give up do not open it, and deadlines that pass do", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, silence);
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker: BREAKER };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 6; at++) {
      const stream = caller.request(callHead("up"), true);
      await eventually(
        () => server.requests.length === at + 1,
        () => `request ${at}`,
      );
      caller.reset(stream, ErrorCode.CANCEL);
    }
    await sidecar.rest();
    const late = () => caller.answer(caller.request(callHead("up", ["grpc-timeout", "20m"]), true));
    for (let at = 0; at < 3; at++) assert.equal(reasonOf(await late()), "DEADLINE_CLIENT");
    assert.equal(reasonOf(await late()), "CIRCUIT_OPEN");
  });
});

test("a breaker for each method refuses that method alone", async () => {
  await inScope(async (scope) => {
    const no = trailersOnly(14);
    const server = await ScriptedServer.start(scope, no, no, no, inTrailers(0));
    const circuitBreaker = { ...BREAKER, scope: "method" };
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) await call(caller, "/test.v1.Test/Broken");
    assert.equal(reasonOf(await call(caller, "/test.v1.Test/Broken")), "CIRCUIT_OPEN");
    assert.equal(statusOf(await call(caller, "/test.v1.Test/Fine")), "0");
    const labels = { upstream: "up", method: "test.v1.Test/Broken" };
    assert.equal(sampleValue(await sidecar.metrics(), "outrigger_circuit_breaker_state", labels), 2);
  });
});

test("a retry that meets an open breaker gives what the attempt before ended with", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, trailersOnly(14, ["grpc-message", "mine"]));
    const retry = { attempts: 5, idempotentMethods: ["*"], backoff: { base: "1ms", max: "1ms" } };
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker: BREAKER, retry };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const answer = await call(await connectPeer(scope, sidecar.outbound));
    assert.deepEqual([reasonOf(answer), fieldOf(answer.head, "grpc-message")], [undefined, "mine"]);
    assert.equal(server.requests.length, 3);
  });
});

test("a hedge that meets an open breaker leaves its call the attempt that is under way", async () => {
  await inScope(async (scope) => {
    const no = trailersOnly(14);
    const slow: Act = (peer, stream) => setTimeout(() => inTrailers(0, ["slow"])(peer, stream), 300);
    // Three failures open it; the next one is the one that tries again, and takes its time.
    const server = await ScriptedServer.start(scope, no, no, no, slow);
    const retry = { attempts: 3, hedgeAfter: "20ms", idempotentMethods: ["test.v1.Test/Call"] };
    const circuitBreaker = { ...BREAKER, openFor: "100ms" };
    const up = { discovery: "static", endpoints: [server.address], circuitBreaker, retry };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    for (let at = 0; at < 3; at++) await call(caller, "/test.v1.Test/Unsafe");
    const state = async () =>
      sampleValue(await sidecar.metrics(), "outrigger_circuit_breaker_state", { upstream: "up", method: "" });
    await eventually(
      async () => (await state()) === 1,
      () => "its time is over",
    );
    assert.equal(statusOf(await call(caller)), "0", "what tries again is not given up for a hedge");
    assert.equal(server.requests.length, 4);
    assert.equal(await state(), 0);
  });
});
