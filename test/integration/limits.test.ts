import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/errors.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

interface World {
  readonly server: ScriptedServer;
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  /** Answers the call under way that came first. */
  readonly answer: () => void;
  readonly arrived: (count: number) => Promise<void>;
}

/** An upstream that answers when it is told to. */
async function world(scope: Scope, limits: object): Promise<World> {
  const held: (() => void)[] = [];
  const hold: Act = (peer, stream) => void held.push(() => inTrailers(0)(peer, stream));
  const server = await ScriptedServer.start(scope, hold);
  const up = { discovery: "static", endpoints: [server.address], limits };
  const sidecar = await scope.sidecar({ upstreams: { up } });
  const caller = await connectPeer(scope, sidecar.outbound);
  const arrived = (count: number) =>
    eventually(
      () => server.requests.length === count,
      () => `${count} calls, there are ${server.requests.length}`,
    );
  return { server, sidecar, caller, answer: () => held.shift()?.(), arrived };
}

test("a call whose delay and whose deadline are over in one turn keeps no place", async () => {
  await inScope(async (scope) => {
    const server = await ScriptedServer.start(scope, inTrailers(0));
    const up = { discovery: "static", endpoints: [server.address], limits: { maxConcurrent: 1 } };
    const late = { name: "late", match: { upstream: "up" }, delay: "2s" };
    const sidecar = await scope.sidecar({ upstreams: { up }, faults: [late] });
    const caller = await connectPeer(scope, sidecar.outbound);
    const first = caller.request(callHead("up", ["grpc-timeout", "3S"]), true);
    await eventually(
      () => [...sidecar.runtime.services.faults.all()].some(({ delayed }) => delayed === 1),
      () => "the delay",
    );
    // Less than the wheel of deadlines holds, so that they expire in their order.
    sidecar.clock.jump(3500);
    await caller.answer(first);
    await sidecar.rest();
    assert.equal(sidecar.runtime.upstreams.policies.of("up")?.calls?.current, 0);
  });
});

test("the call over maxConcurrent is refused, naming the limit and its value, and told when to come again", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller, answer, arrived } = await world(scope, { maxConcurrent: 2 });
    const first = caller.request(callHead("up"), true);
    const second = caller.request(callHead("up"), true);
    await arrived(2);
    const refused = await caller.answer(caller.request(callHead("up"), true));
    assert.equal(fieldOf(refused.head, "grpc-status"), "8");
    assert.equal(fieldOf(refused.head, "outrigger-reason"), "CONCURRENCY");
    assert.equal(fieldOf(refused.head, "grpc-message"), "up has 2 calls under way: maxConcurrent is reached");
    assert.equal(fieldOf(refused.head, "grpc-retry-pushback-ms"), "100");
    const metrics = await sidecar.metrics();
    const labels = { upstream: "up", limit: "maxConcurrent" };
    assert.equal(sampleValue(metrics, "outrigger_limit", labels), 2);
    assert.equal(sampleValue(metrics, "outrigger_limit_current", labels), 2);
    answer();
    await caller.answer(first);
    const third = caller.request(callHead("up"), true);
    await arrived(3);
    answer();
    answer();
    await caller.answer(second);
    await caller.answer(third);
  });
});

test("calls wait in their order, and the one over maxQueue is refused", async () => {
  await inScope(async (scope) => {
    const { server, sidecar, caller, answer, arrived } = await world(scope, { maxConcurrent: 1, maxQueue: 2 });
    const inside = caller.request(callHead("up"), true);
    await arrived(1);
    const waits = ["1", "2"].map((value) => caller.request(callHead("up", ["x", value]), true));
    const refused = await caller.answer(caller.request(callHead("up"), true));
    assert.equal(fieldOf(refused.head, "outrigger-reason"), "QUEUE_FULL");
    assert.equal(fieldOf(refused.head, "grpc-status"), "14");
    assert.equal(fieldOf(refused.head, "grpc-message"), "2 calls wait for up: maxQueue is reached");
    const current = { upstream: "up", limit: "maxQueue" };
    assert.equal(sampleValue(await sidecar.metrics(), "outrigger_limit_current", current), 2);
    for (const [at, stream] of [inside, ...waits].entries()) {
      await arrived(at + 1);
      answer();
      assert.equal(fieldOf((await caller.answer(stream)).trailers ?? [], "grpc-status"), "0");
    }
    assert.deepEqual(
      server.requests.map(({ fields }) => fieldOf(fields, "x")),
      [undefined, "1", "2"],
    );
  });
});

test("nobody waits longer than maxQueueTime, than the deadline, or after having gone", async () => {
  await inScope(async (scope) => {
    const limits = { maxConcurrent: 1, maxQueue: 10, maxQueueTime: "60ms" };
    const { server, sidecar, caller, answer, arrived } = await world(scope, limits);
    const inside = caller.request(callHead("up"), true);
    await arrived(1);
    const patient = await caller.answer(caller.request(callHead("up"), true));
    assert.equal(fieldOf(patient.head, "outrigger-reason"), "QUEUE_FULL");
    assert.match(fieldOf(patient.head, "grpc-message") ?? "", /^the call waited 60ms for up .*: maxQueueTime$/);
    const hasty = await caller.answer(caller.request(callHead("up", ["grpc-timeout", "5m"]), true));
    assert.equal(fieldOf(hasty.head, "outrigger-reason"), "DEADLINE_CLIENT");
    const gone = caller.request(callHead("up"), true);
    await sleep(5);
    caller.reset(gone, ErrorCode.CANCEL);
    await sleep(5);
    answer();
    await caller.answer(inside);
    await sidecar.rest();
    assert.equal(server.requests.length, 1, "none of them went on");
  });
});

test("no more connections are made than maxConnections", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller, answer, arrived } = await world(scope, { maxConnections: 1 });
    const streams = Array.from({ length: 95 }, () => caller.request(callHead("up"), true));
    await arrived(95);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_connections", { direction: "outbound", upstream: "up" }), 1);
    assert.equal(sampleValue(metrics, "outrigger_limit", { upstream: "up", limit: "maxConnections" }), 1);
    for (const stream of streams) {
      answer();
      await caller.answer(stream);
    }
  });
});
