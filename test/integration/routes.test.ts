import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/errors.ts";
import { good } from "../config/load-text.ts";
import { offered } from "../runtime/offered.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar, wholeConfig } from "../support/with-proxy.ts";

interface World {
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  readonly servers: Readonly<Record<string, ScriptedServer>>;
  readonly config: { readonly upstreams: Readonly<Record<string, object>> };
}

/** Upstreams that answer with their name unless they have another script, and routes over them. */
async function world(scope: Scope, routes: object[], scripts: Record<string, Act[]> = {}): Promise<World> {
  const servers: Record<string, ScriptedServer> = {};
  const upstreams: Record<string, object> = {};
  for (const name of ["up", "next", "shadow"]) {
    const server = await ScriptedServer.start(scope, ...(scripts[name] ?? [inTrailers(0, [name])]));
    servers[name] = server;
    upstreams[name] = { discovery: "static", endpoints: [server.address] };
  }
  const config = { upstreams };
  const sidecar = await scope.sidecar({ ...config, routes });
  return { sidecar, caller: await connectPeer(scope, sidecar.outbound), servers, config };
}

async function call(caller: RawPeer, path = "/test.v1.Test/Call", ...metadata: PlainField[]): Promise<RawAnswer> {
  const head = callHead("up", ...metadata).map(([name, value]) => [name, name === ":path" ? path : value] as const);
  return await caller.answer(caller.request(head, true));
}

/** Answers once the request is whole. */
const drain: Act = (peer, stream) =>
  void (async () => {
    for (;;) {
      const { end } = await peer.next("data", stream);
      if (end) break;
    }
    inTrailers(0, ["up"])(peer, stream);
  })();

const from = ({ data }: RawAnswer) => data.toString("latin1").slice(5);

test("the first route that matches by method and metadata leads to its upstream, and the metric has that one", async () => {
  await inScope(async (scope) => {
    const { caller, sidecar } = await world(scope, [
      { name: "moved", upstream: "up", match: { method: "test.v1.Test/Moved" }, to: "next" },
      { name: "testers", upstream: "up", match: { metadata: { "x-tester": "*", "x-tenant": "a" } }, to: "shadow" },
    ]);
    assert.equal(from(await call(caller)), "up");
    assert.equal(from(await call(caller, "/test.v1.Test/Moved")), "next");
    assert.equal(from(await call(caller, "/test.v1.Test/Call", ["x-tester", "me"])), "up", "all of the fields");
    assert.equal(from(await call(caller, "/test.v1.Test/Call", ["x-tester", "me"], ["x-tenant", "a"])), "shadow");
    const other = caller.request(callHead("next"), true);
    assert.equal(from(await caller.answer(other)), "next", "calls for another upstream are not its business");
    const labels = { direction: "outbound", upstream: "next", method: "test.v1.Test/Moved", grpc_status: "OK" };
    assert.equal(await sidecar.handled(labels), 1);
  });
});

test("metadata is edited on the way to the upstream and back", async () => {
  await inScope(async (scope) => {
    const { caller, servers } = await world(scope, [
      {
        name: "edits",
        upstream: "up",
        request: { set: { "x-tenant": "b" }, add: { "x-more": "2" }, remove: ["x-gone"] },
        response: { set: { "x-by": "route" } },
      },
    ]);
    const answer = await call(caller, "/test.v1.Test/Call", ["x-tenant", "a"], ["x-gone", "1"], ["x-more", "1"]);
    assert.equal(fieldOf(answer.head, "x-by"), "route");
    const fields = (servers.up?.requests[0]?.fields ?? []).filter(({ name }) => name.startsWith("x-"));
    assert.deepEqual(
      fields.map(({ name, value }) => [name, value]),
      [
        ["x-tenant", "b"],
        ["x-more", "1"],
        ["x-more", "2"],
      ],
    );
  });
});

test("a split gives each upstream its share, and a key always the same one", async () => {
  await inScope(async (scope) => {
    const split = [
      { to: "up", share: "50%" },
      { to: "next", share: "50%" },
    ];
    const { caller, servers } = await world(scope, [
      { name: "canary", upstream: "up", split, stickyBy: "metadata.x-user" },
    ]);
    const first = new Map<string, string>();
    for (let round = 0; round < 2; round++)
      for (let at = 0; at < 30; at++) {
        const user = `user-${at}`;
        const way = from(await call(caller, "/test.v1.Test/Call", ["x-user", user]));
        assert.equal(first.get(user) ?? way, way);
        first.set(user, way);
      }
    assert.deepEqual(new Set(first.values()), new Set(["up", "next"]));
    for (let at = 0; at < 60; at++) await call(caller);
    const counts = ["up", "next"].map((name) => servers[name]?.requests.length ?? 0);
    // 60 calls without a key: less than one of a million such runs has all on one side of 10.
    for (const count of counts) assert.ok(count > 20, counts.join(" and "));
  });
});

test("a route has a timeout and retries of its own", async () => {
  await inScope(async (scope) => {
    const retry = { attempts: 2, idempotentMethods: ["*"], backoff: { base: "1ms", max: "1ms" } };
    const { caller, servers } = await world(
      scope,
      [
        { name: "hasty", upstream: "up", match: { method: "test.v1.Test/Hasty" }, to: "shadow", timeout: "30ms" },
        { name: "again", upstream: "up", match: { method: "test.v1.Test/Again" }, to: "next", retry },
      ],
      { shadow: [silence], next: [trailersOnly(14), inTrailers(0)] },
    );
    const late = await call(caller, "/test.v1.Test/Hasty");
    assert.equal(fieldOf(late.head, "outrigger-reason"), "DEADLINE_POLICY");
    const answer = await call(caller, "/test.v1.Test/Again");
    assert.equal(fieldOf(answer.trailers ?? [], "grpc-status"), "0");
    assert.equal(servers.next?.requests.length, 2);
  });
});

test("a mirror gets the whole request, and its answer, its silence and its refusal are nobody's", async () => {
  await inScope(async (scope) => {
    const bodies: Buffer[] = [];
    const read: Act = (peer, stream) =>
      void (async () => {
        for (;;) {
          const { data, end } = await peer.next("data", stream);
          bodies.push(data);
          if (end) break;
        }
        inTrailers(7, ["not for you"])(peer, stream);
      })();
    const { caller, sidecar, servers } = await world(
      scope,
      [{ name: "copy", upstream: "up", mirror: { to: "shadow" } }],
      { up: [drain], shadow: [read, read, trailersOnly(14), silence] },
    );
    for (let at = 0; at < 4; at++) {
      const stream = caller.request(callHead("up"));
      caller.data(stream, message("one"));
      await sleep(5);
      caller.data(stream, message("two"), true);
      const answer = await caller.answer(stream);
      assert.deepEqual([from(answer), fieldOf(answer.trailers ?? [], "grpc-status")], ["up", "0"]);
    }
    await eventually(
      () => servers.shadow?.requests.length === 4,
      () => "four copies",
    );
    assert.deepEqual(Buffer.concat(bodies.slice(0, 2)), Buffer.concat([message("one"), message("two")]));
    const counted = async (result: string) =>
      sampleValue(await sidecar.metrics(), "outrigger_mirrored_calls_total", { route: "copy", result });
    await eventually(
      async () => (await counted("mirrored")) === 3,
      () => "three answers",
    );
    assert.equal(sidecar.calls.length, 4, "copies are no calls of the application");
    // The one that is never answered is given up.
    sidecar.clock.jump(31_000);
    await eventually(
      async () => (await counted("failed")) === 1,
      () => "the last one",
    );
    await sidecar.rest();
  });
});

test("a mirror that reads nothing is dropped once it is too far behind, and the call goes on", async () => {
  await inScope(async (scope) => {
    let got = 0;
    const counting: Act = (peer, stream) =>
      void (async () => {
        for (;;) {
          const { data, end } = await peer.next("data", stream);
          got += data.length;
          if (end) break;
        }
        inTrailers(0, ["up"])(peer, stream);
      })();
    const up = await ScriptedServer.start(scope, counting);
    const shadow = await ScriptedServer.startWith(scope, { credit: false }, silence);
    const sidecar = await scope.sidecar({
      upstreams: {
        up: { discovery: "static", endpoints: [up.address] },
        shadow: { discovery: "static", endpoints: [shadow.address] },
      },
      routes: [{ name: "copy", upstream: "up", mirror: { to: "shadow" } }],
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"));
    const chunk = Buffer.alloc(16_384);
    // Its window is 64 KiB, and it may be 256 KiB behind.
    for (let at = 1; at <= 24; at++) {
      caller.data(stream, chunk, at === 24);
      await eventually(
        () => got === at * chunk.length,
        () => `${at} chunks`,
      );
    }
    assert.equal(from(await caller.answer(stream)), "up");
    const labels = { route: "copy", result: "dropped" };
    assert.equal(sampleValue(await sidecar.metrics(), "outrigger_mirrored_calls_total", labels), 1);
    await sidecar.rest();
  });
});

test("a caller that gives up takes the copy of its unfinished request with it", async () => {
  await inScope(async (scope) => {
    const { caller, sidecar, servers } = await world(
      scope,
      [{ name: "copy", upstream: "up", mirror: { to: "shadow" } }],
      { up: [silence], shadow: [silence] },
    );
    const stream = caller.request(callHead("up"));
    caller.data(stream, message("one"));
    await eventually(
      () => servers.shadow?.requests.length === 1 && servers.up?.requests.length === 1,
      () => "both",
    );
    caller.reset(stream, ErrorCode.CANCEL);
    await eventually(
      () => servers.shadow?.resets.length === 1,
      () => "the copy is cancelled",
    );
    await sidecar.rest();
  });
});

test("other routes hold from the next call on, and mirrors go on counting", async () => {
  await inScope(async (scope) => {
    const mirror = { name: "copy", upstream: "up", mirror: { to: "shadow" } };
    const { caller, sidecar, config } = await world(scope, [mirror]);
    assert.equal(from(await call(caller)), "up");
    const labels = { route: "copy", result: "mirrored" };
    const mirrored = async () => sampleValue(await sidecar.metrics(), "outrigger_mirrored_calls_total", labels);
    await eventually(
      async () => (await mirrored()) === 1,
      () => "a copy",
    );
    const routes = [{ ...mirror, to: "next" }];
    const applied = await sidecar.runtime.apply(good(JSON.stringify(wholeConfig({ ...config, routes }))));
    assert.equal(applied.kind, "applied");
    assert.equal(from(await call(caller)), "next");
    await eventually(
      async () => (await mirrored()) === 2,
      () => "another copy",
    );
  });
});

test("a copy that is never answered ends with the deadline of its call, and counts over a reload", async () => {
  await inScope(async (scope) => {
    const mirror = { name: "copy", upstream: "up", mirror: { to: "shadow" } };
    const { caller, sidecar, servers, config } = await world(scope, [mirror], { shadow: [silence] });
    await call(caller, undefined, ["grpc-timeout", "600m"]);
    await eventually(
      () => servers.shadow?.requests.length === 1,
      () => "the copy",
    );
    const again = { ...config, routes: [{ ...mirror, mirror: { to: "shadow", share: "50%" } }] };
    await sidecar.runtime.apply(offered(sidecar, again));
    const labels = { route: "copy", result: "failed" };
    await eventually(
      async () => sampleValue(await sidecar.metrics(), "outrigger_mirrored_calls_total", labels) === 1,
      () => "the end of the copy",
    );
    await sidecar.rest();
  });
});
