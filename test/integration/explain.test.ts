import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import type { Explanation } from "../../src/observability/explain/explanation.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead, connectPeer, inboundHop, outboundHop } from "../support/raw-call.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Sidecar } from "../support/with-proxy.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const ASK: PlainField = ["outrigger-explain", "1"];
const application = { explain: { callers: ["application"] } };

/** What the admin listener says of the last call. */
function lastCall(sidecar: Sidecar): Explanation {
  const { explanations } = sidecar.runtime.services;
  const [latest] = explanations.latest(1, false);
  const [found] = explanations.find(latest?.id ?? "");
  assert.ok(found !== undefined, "there is no call");
  return found;
}

/** A call that is answered with OK. */
async function answered(caller: RawPeer, server: RawServer, ...metadata: PlainField[]) {
  const stream = caller.request(callHead("up", ...metadata), true);
  const upstream = server.peers[0] ?? (await server.peer());
  const request = await upstream.nextRequest();
  upstream.headers(request.stream, answerHead);
  upstream.headers(request.stream, [["grpc-status", "0"]], true);
  const { trailers } = await caller.answer(stream);
  return { request, explanation: fieldOf(trailers ?? [], "outrigger-explain") };
}

test("an answered call is explained from its name to its endpoint, and found by its trace id", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    await answered(caller, server, ["traceparent", `00-${TRACE}-00f067aa0ba902b7-01`], ["grpc-timeout", "5S"]);
    const call = lastCall(sidecar);
    assert.deepEqual(sidecar.runtime.services.explanations.find(TRACE.toUpperCase()), [call]);
    assert.equal(call.status, "OK");
    assert.equal(call.traceId, TRACE);
    assert.equal(call.attempts, 1);
    assert.deepEqual(call.deadline, { ms: 5000, by: "caller" });
    assert.equal(call.forgotten, false);
    const decided = call.steps.map(({ decision }) => decision);
    for (const decision of ["routes", "routed", "candidates", "picked", "attempt", "answered", "attemptEnded", "ended"])
      assert.equal(decided.filter((name) => name === decision).length, 1, decision);
    const chosen = call.steps.find(({ decision }) => decision === "routes")?.candidates ?? [];
    assert.deepEqual(chosen, [
      { name: "hosts: up", verdict: "nobody has that name" },
      { name: "upstreams: up", verdict: "chosen: upstream up" },
    ]);
    const endpoints = call.steps.find(({ decision }) => decision === "candidates")?.candidates ?? [];
    assert.deepEqual(endpoints, [{ name: server.address, verdict: "picked" }]);
    const total = Object.values(call.phases).reduce((sum: number, ms) => sum + (ms ?? Number.NaN), 0);
    assert.ok(Math.abs(total - (call.durationMs ?? 0)) < 0.01, `${total} of ${call.durationMs}`);
  });
});

test("an endpoint that was tried, one that cannot be reached and a retry are each said with their why", async () => {
  await inScope(async (scope) => {
    const [one, two, gone] = [await RawServer.listen(), await RawServer.listen(), await RawServer.listen()];
    scope.onEnd(() => one.close());
    scope.onEnd(() => two.close());
    const endpoints = [one.address, two.address, gone.address];
    await gone.close();
    const up = { discovery: "static", endpoints, balancer: "roundRobin" };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"), true);
    await eventually(
      () => one.peers.length + two.peers.length > 0,
      () => "a connection",
    );
    const first = one.peers[0] ?? (await two.peer());
    const request = await first.nextRequest();
    first.reset(request.stream, ErrorCode.REFUSED_STREAM);
    const other = one.peers[0] === first ? two : one;
    const second = other.peers[0] ?? (await other.peer());
    const again = await second.nextRequest();
    second.headers(again.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);

    const call = lastCall(sidecar);
    assert.equal(call.status, "OK");
    const retry = call.steps.find(({ decision }) => decision === "retry");
    assert.match(
      retry?.text ?? "",
      /made again as attempt 2, which is safe: the peer refused the stream before processing/,
    );
    const last = call.steps.findLast(
      ({ candidates, decision }) => decision === "candidates" && candidates !== undefined,
    );
    const verdicts = new Map(last?.candidates?.map(({ name, verdict }) => [name, verdict]));
    assert.equal(verdicts.get(other.address), "picked");
    assert.equal(verdicts.get(other === one ? two.address : one.address), "not picked: this call has tried it");
  });
});

test("every limit and breaker that a call passed stands with its value and its threshold", async () => {
  await inScope(async (scope) => {
    const pace = { match: { method: "*" }, key: ["upstream"] };
    const { caller, server, sidecar } = await outboundHop(scope, {
      more: {
        rateLimits: [
          { name: "bucket", direction: "outbound", limit: "100/h", burst: 20, algorithm: "tokenBucket", ...pace },
          { name: "window", direction: "outbound", limit: "30/h", algorithm: "slidingWindow", ...pace },
          { name: "quota", direction: "outbound", limit: "40/d", algorithm: "fixedWindow", ...pace },
        ],
      },
      settings: {
        limits: { maxConcurrent: 10 },
        adaptiveConcurrency: { initial: 7, min: 2, max: 20 },
        circuitBreaker: { failureRate: "50%", window: "10s", minimumRequests: 20, openFor: "5s" },
      },
    });
    await answered(caller, server);
    await answered(caller, server);
    const limits = lastCall(sidecar).steps.filter(({ decision }) => decision === "limit" || decision === "breaker");
    assert.deepEqual(limits.map(({ text }) => text).toSorted(), [
      "circuit breaker up closed: 0 % failed, it opens at 50 %",
      "limit adaptiveConcurrency: 1 of 7",
      "limit bucket: 2 of 20",
      "limit maxConcurrent: 1 of 10",
      "limit quota: 2 of 40",
      "limit window: 2 of 30",
    ]);
    assert.deepEqual(
      limits.map(({ threshold }) => threshold).toSorted((a = 0, b = 0) => a - b),
      [0.5, 7, 10, 20, 30, 40],
    );
  });
});

test("a refused call says which filter or limit it was, and that there was no route", async () => {
  await inScope(async (scope) => {
    const { caller, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("nobody.example"), true);
    await caller.answer(stream);
    const call = lastCall(sidecar);
    assert.equal(call.reason, "NO_ROUTE");
    assert.equal(call.upstream, null);
    const [routes] = call.steps;
    assert.deepEqual(routes?.candidates?.at(-1), { name: "names.onDemand", verdict: "the name may not be looked up" });
  });
});

test("the application reads the explanation in its trailers where it may, and the field goes no further", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { more: application });
    const { request, explanation } = await answered(caller, server, ASK);
    assert.equal(fieldOf(request.fields, "outrigger-explain"), undefined);
    const read: Explanation = JSON.parse(explanation ?? "null");
    assert.equal(read.upstream, "up");
    assert.ok(read.steps.some(({ decision }) => decision === "answered"));
    const refused = caller.request(callHead("nobody.example", ASK), true);
    const { head } = await caller.answer(refused);
    const why: Explanation = JSON.parse(fieldOf(head, "outrigger-explain") ?? "null");
    assert.equal(why.steps[0]?.decision, "routes");
  });
});

test("who did not ask, and who may not, gets nothing", async () => {
  await inScope(async (scope) => {
    const allowed = await outboundHop(scope, { more: application });
    assert.equal((await answered(allowed.caller, allowed.server)).explanation, undefined);
    const forbidden = await outboundHop(scope);
    assert.equal((await answered(forbidden.caller, forbidden.server, ASK)).explanation, undefined);
    const stranger = await inboundHop(scope, { more: application });
    assert.equal((await answered(stranger.caller, stranger.server, ASK)).explanation, undefined);
  });
});

test("a sidecar on the way is asked as well, and its explanation stands in that of the first", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { more: application, upstream: { sidecar: true } });
    const stream = caller.request(callHead("up", ASK), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    assert.equal(fieldOf(request.fields, "outrigger-explain"), "1");
    const theirs = { id: "peer-1", steps: [] };
    upstream.headers(
      request.stream,
      [...answerHead, ["grpc-status", "0"], ["outrigger-explain", JSON.stringify(theirs)]],
      true,
    );
    const { head } = await caller.answer(stream);
    const read: { readonly next?: unknown } = JSON.parse(fieldOf(head, "outrigger-explain") ?? "null");
    assert.deepEqual(read.next, theirs);
  });
});

test("a reload changes who may ask, and how much is remembered", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    await answered(caller, server);
    assert.equal(sidecar.runtime.services.explanations.latest(9, false).length, 1);
    const { config } = sidecar.runtime;
    await sidecar.runtime.apply({ ...config, explain: { callers: ["application"], calls: config.explain.calls } });
    assert.equal(sidecar.runtime.services.explanations.latest(9, false).length, 1);
    assert.notEqual((await answered(caller, server, ASK)).explanation, undefined);
    await sidecar.runtime.apply({ ...config, explain: { callers: [], calls: 16 } });
    assert.equal(sidecar.runtime.services.explanations.latest(9, false).length, 0);
    assert.equal((await answered(caller, server, ASK)).explanation, undefined);
  });
});
