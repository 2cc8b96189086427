import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { offered } from "../runtime/offered.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { sampleValue } from "../support/prometheus.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

interface World {
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  readonly config: Readonly<Record<string, object>>;
}

/** An upstream and its shadow, each with a script, and a route that compares their answers. */
async function world(scope: Scope, mirror: object, up: readonly Act[], shadow: readonly Act[]): Promise<World> {
  const servers = {
    up: await ScriptedServer.start(scope, ...up),
    shadow: await ScriptedServer.start(scope, ...shadow),
  };
  const upstreams = {
    up: { discovery: "static", endpoints: [servers.up.address] },
    shadow: { discovery: "static", endpoints: [servers.shadow.address] },
  };
  const config = { upstreams, routes: [{ name: "copy", upstream: "up", mirror: { to: "shadow", ...mirror } }] };
  const sidecar = await scope.sidecar(config);
  return { sidecar, caller: await connectPeer(scope, sidecar.outbound), config };
}

async function call(caller: RawPeer, ...metadata: PlainField[]): Promise<void> {
  await caller.answer(caller.request(callHead("up", ...metadata), true));
}

async function counted(sidecar: Sidecar, result: string): Promise<number | undefined> {
  return sampleValue(await sidecar.metrics(), "outrigger_mirror_comparisons_total", { route: "copy", result });
}

/** Waits until a result was counted so often. */
async function results(sidecar: Sidecar, result: string, count: number): Promise<void> {
  await eventually(
    async () => (await counted(sidecar, result)) === count,
    () => `${count} times ${result}`,
  );
}

const differences = ({ lines }: Sidecar) =>
  lines.filter(({ msg }) => msg === "a mirrored call was answered otherwise than the call");

/** What is said of the last call. */
function lastExplained({ runtime }: Sidecar): string {
  const { explanations } = runtime.services;
  const [last] = explanations.decisions.latest();
  assert.ok(last !== undefined);
  return explanations.explain(last).steps.at(-1)?.text ?? "";
}

test("answers of call and copy are the same, or differ in status, length or messages, whatever frames they come in", async () => {
  const inPieces: Act = (peer, stream) => {
    peer.headers(stream, [...answerHead, ["date", "today"]]);
    const whole = message("one");
    peer.data(stream, whole.subarray(0, 2));
    peer.data(stream, whole.subarray(2));
    peer.headers(stream, [["grpc-status", "0"]], true);
  };
  await inScope(async (scope) => {
    const { sidecar, caller } = await world(
      scope,
      { compare: "messages" },
      [inTrailers(0, ["one"], ["x-by", "up"]), inTrailers(0, ["one"]), inTrailers(0, ["one"]), inTrailers(0, ["one"])],
      [inPieces, inTrailers(5), inTrailers(0, ["one", "two"]), inTrailers(0, ["eno"])],
    );
    await call(caller);
    await results(sidecar, "same", 1);
    assert.match(lastExplained(sidecar), /the copy that went to shadow: the same answer/);
    assert.deepEqual(differences(sidecar), []);
    const trace: PlainField = ["traceparent", `00-${TRACE}-00f067aa0ba902b7-01`];
    for (const result of ["status", "length", "messages"]) {
      await call(caller, trace);
      await results(sidecar, result, 1);
    }
    const told = differences(sidecar);
    assert.deepEqual(
      told.map(({ result, detail }) => [result, detail]),
      [
        ["status", "status NOT_FOUND instead of OK"],
        ["length", "16 octets of messages instead of 8"],
        ["messages", "other messages of the same length, 8 octets"],
      ],
    );
    for (const { route, upstream, trace_id } of told)
      assert.deepEqual([route, upstream, trace_id], ["copy", "shadow", TRACE]);
    assert.ok(!JSON.stringify(told).includes("eno"), "never what stood in them");
    assert.match(lastExplained(sidecar), /shadow: other messages of the same length/);
    await sidecar.rest();
  });
});

test("metadata is compared where that is asked for, without what may differ, and in whatever section it stands", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller } = await world(
      scope,
      { compare: "metadata", ignore: ["x-by"] },
      [
        inTrailers(0, ["one"], ["x-by", "up"], ["x-version", "1"], ["server", "a"]),
        trailersOnly(5, ["x-version", "1"]),
        inTrailers(0, ["one"], ["x-version", "1"]),
      ],
      [
        inTrailers(0, ["one"], ["x-version", "1"], ["x-by", "shadow"], ["server", "b"]),
        inTrailers(5, [], ["x-version", "1"]),
        inTrailers(0, ["one"], ["x-version", "2"]),
      ],
    );
    await call(caller);
    await results(sidecar, "same", 1);
    await call(caller);
    await results(sidecar, "same", 2);
    await call(caller);
    await results(sidecar, "metadata", 1);
    const [line] = differences(sidecar);
    assert.equal(line?.detail, "other metadata");
  });
});

test("with compare: status other messages are the same answer, and a reload makes more of it and goes on counting", async () => {
  await inScope(async (scope) => {
    const answers = [inTrailers(0, ["one"])];
    const { sidecar, caller, config } = await world(scope, { compare: "status" }, answers, [inTrailers(0, ["two!"])]);
    await call(caller);
    await results(sidecar, "same", 1);
    const routes = [{ name: "copy", upstream: "up", mirror: { to: "shadow", compare: "messages" } }];
    assert.equal((await sidecar.runtime.apply(offered(sidecar, { ...config, routes }))).kind, "applied");
    await call(caller);
    await results(sidecar, "length", 1);
    assert.equal(await counted(sidecar, "same"), 1);
  });
});

test("what is no whole answer of an application on both sides is incomplete, and no difference", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller } = await world(
      scope,
      { compare: "messages" },
      [inTrailers(0), silence, inTrailers(0)],
      [(peer, stream) => peer.reset(stream, ErrorCode.INTERNAL_ERROR), inTrailers(0), silence],
    );
    await call(caller);
    await results(sidecar, "incomplete", 1);
    assert.match(lastExplained(sidecar), /the copy had no whole answer/);
    // A caller that gives up has no answer to compare with.
    const stream = caller.request(callHead("up"), true);
    await eventually(
      async () => {
        const labels = { route: "copy", result: "mirrored" };
        return sampleValue(await sidecar.metrics(), "outrigger_mirrored_calls_total", labels) === 1;
      },
      () => "the answer to the copy",
    );
    caller.reset(stream, ErrorCode.CANCEL);
    await results(sidecar, "incomplete", 2);
    assert.match(lastExplained(sidecar), /the call had no whole answer/);
    // A copy that nobody answers is given up.
    await call(caller);
    await eventually(
      () => sidecar.shared.room.calls === 0,
      () => "no call waits",
    );
    sidecar.clock.jump(31_000);
    await results(sidecar, "incomplete", 3);
    assert.deepEqual(differences(sidecar), []);
    await sidecar.rest();
  });
});

test("a caller has the end of its answer while its copy is still being answered", async () => {
  await inScope(async (scope) => {
    const held: (() => void)[] = [];
    const late: Act = (peer, stream) => void held.push(() => inTrailers(0, ["one"])(peer, stream));
    const { sidecar, caller } = await world(scope, { compare: "messages" }, [inTrailers(0, ["one"])], [late]);
    await call(caller);
    await eventually(
      () => held.length === 1,
      () => "the copy",
    );
    assert.equal(await counted(sidecar, "same"), 0);
    for (const answer of held) answer();
    await results(sidecar, "same", 1);
  });
});

test("a copy that waits for a connection comes behind a call that waits for it already", async () => {
  await inScope(async (scope) => {
    const held: (() => void)[] = [];
    const hold: Act = (peer, stream) => void held.push(() => trailersOnly(0)(peer, stream));
    const one = { settings: [[SettingId.MAX_CONCURRENT_STREAMS, 1]] } as const;
    const shadow = await ScriptedServer.startWith(scope, one, hold, trailersOnly(0));
    const up = await ScriptedServer.start(scope, trailersOnly(0));
    const sidecar = await scope.sidecar({
      upstreams: {
        up: { discovery: "static", endpoints: [up.address] },
        shadow: { discovery: "static", endpoints: [shadow.address], limits: { maxConnections: 1 } },
      },
      routes: [{ name: "copy", upstream: "up", mirror: { to: "shadow" } }],
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const direct = [caller.request(callHead("shadow"), true)];
    await eventually(
      () => held.length === 1,
      () => "the only stream is taken",
    );
    direct.push(caller.request(callHead("shadow"), true));
    await call(caller);
    const waiting = (): number =>
      [...sidecar.runtime.upstreams.clusters()]
        .flatMap(({ endpoints }) => [...endpoints])
        .reduce((sum, { pool }) => sum + pool.waiting, 0);
    await eventually(
      () => waiting() === 2,
      () => `${waiting()} wait`,
    );
    held[0]?.();
    for (const stream of direct) await caller.answer(stream);
    await eventually(
      () => shadow.requests.length === 3,
      () => `${shadow.requests.length} came`,
    );
    assert.deepEqual(
      shadow.requests.map(({ fields }) => fieldOf(fields, ":authority")),
      ["shadow", "shadow", "up"],
    );
  });
});
