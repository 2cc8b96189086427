import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { freePort } from "../support/ports.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const ok = inTrailers(0, ["answer"]);
const BASE = 30_000;

/** A server that does what it is told at the moment. */
interface Replica {
  act: Act;
  readonly server: ScriptedServer;
}

async function replica(scope: Scope, act: Act = ok): Promise<Replica> {
  const made: { act: Act; server?: ScriptedServer } = { act };
  const server = await ScriptedServer.start(scope, (peer, stream) => made.act(peer, stream));
  return Object.assign(made, { server });
}

interface World {
  readonly replicas: readonly Replica[];
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  /** The settings of the upstream. */
  readonly up: object;
}

async function world(scope: Scope, count: number, settings: object = {}): Promise<World> {
  const replicas: Replica[] = [];
  for (let n = 0; n < count; n++) replicas.push(await replica(scope));
  const endpoints = replicas.map(({ server }) => server.address);
  const up = { discovery: "static", endpoints, balancer: "roundRobin", ...settings };
  const sidecar = await scope.sidecar({ upstreams: { up } });
  return { replicas, sidecar, caller: await connectPeer(scope, sidecar.outbound), up };
}

async function call(caller: RawPeer, ...metadata: PlainField[]): Promise<RawAnswer> {
  const stream = caller.request(callHead("up", ...metadata));
  caller.data(stream, message("ask"), true);
  return await caller.answer(stream);
}

const statusOf = ({ head, trailers }: RawAnswer): string | undefined => fieldOf(trailers ?? head, "grpc-status");

/** Statuses of so many calls, one after the other. */
async function calls(caller: RawPeer, count: number, ...metadata: PlainField[]): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (let n = 0; n < count; n++) found.push(statusOf(await call(caller, ...metadata)));
  return found;
}

/** Of the endpoints, in the order of the words. */
function statesOf(sidecar: Sidecar, upstream = "up"): string[] {
  const cluster = [...sidecar.runtime.upstreams.clusters()].find(({ name }) => name === upstream);
  return (cluster?.stats() ?? []).map(({ state }) => state).sort();
}

test("an erroring replica of three is ejected, and returns by a real call", async () => {
  await inScope(async (scope) => {
    const { replicas, sidecar, caller } = await world(scope, 3);
    const [bad] = replicas;
    assert.ok(bad !== undefined);
    bad.act = trailersOnly(14);
    const first = await calls(caller, 15);
    assert.equal(first.filter((status) => status === "14").length, 5);
    assert.deepEqual(statesOf(sidecar), ["ejected", "up", "up"]);
    assert.deepEqual(new Set(await calls(caller, 30)), new Set(["0"]), "nobody is sent there");

    sidecar.clock.jump(BASE);
    assert.deepEqual(statesOf(sidecar), ["halfOpen", "up", "up"]);
    const trial = await calls(caller, 10);
    assert.deepEqual(trial, ["14", ...Array.from({ length: 9 }, () => "0")], "one call found that nothing has changed");
    assert.deepEqual(statesOf(sidecar), ["ejected", "up", "up"]);

    bad.act = ok;
    sidecar.clock.jump(BASE);
    assert.ok(statesOf(sidecar).includes("ejected"), "twice as long the second time");
    sidecar.clock.jump(BASE);
    assert.deepEqual(new Set(await calls(caller, 9)), new Set(["0"]));
    assert.deepEqual(statesOf(sidecar), ["up", "up", "up"]);

    const metrics = await sidecar.metrics();
    const labels = { upstream: "up", cause: "consecutiveFailures" };
    assert.equal(sampleValue(metrics, "outrigger_ejections_total", labels), 2);
    assert.equal(sampleValue(metrics, "outrigger_endpoints", { upstream: "up", state: "up" }), 3);
    assert.equal(sampleValue(metrics, "outrigger_upstream_panic", { upstream: "up" }), 0);
  });
});

test("a replica that takes calls and never answers is ejected for its silence", async () => {
  await inScope(async (scope) => {
    const { replicas, sidecar, caller } = await world(scope, 2, { outlierDetection: { consecutiveFailures: 2 } });
    const [, mute] = replicas;
    assert.ok(mute !== undefined);
    mute.act = silence;
    const statuses = await calls(caller, 4, ["grpc-timeout", "150m"]);
    assert.equal(statuses.filter((status) => status === "4").length, 2);
    assert.deepEqual(statesOf(sidecar), ["ejected", "up"]);
    assert.deepEqual(new Set(await calls(caller, 10, ["grpc-timeout", "1S"])), new Set(["0"]));
  });
});

test("statuses that callers bring about eject nobody", async () => {
  await inScope(async (scope) => {
    const { replicas, sidecar, caller } = await world(scope, 2);
    for (const one of replicas) one.act = trailersOnly(7);
    await calls(caller, 30);
    assert.deepEqual(statesOf(sidecar), ["up", "up"]);
  });
});

test("a reload keeps who is out, and its time", async () => {
  await inScope(async (scope) => {
    const { replicas, sidecar, caller, up } = await world(scope, 3);
    const [bad] = replicas;
    assert.ok(bad !== undefined);
    bad.act = trailersOnly(13);
    await calls(caller, 15);
    assert.deepEqual(statesOf(sidecar), ["ejected", "up", "up"]);
    const again = { ...up, timeout: "5s", balancer: "peakEwma", outlierDetection: { consecutiveFailures: 3 } };
    const result = await sidecar.runtime.apply(offered(sidecar, { upstreams: { up: again } }));
    assert.equal(result.kind, "applied");
    assert.deepEqual(statesOf(sidecar), ["ejected", "up", "up"]);
    sidecar.clock.jump(BASE);
    assert.deepEqual(statesOf(sidecar), ["halfOpen", "up", "up"]);
  });
});

test("another upstream takes over where nobody is left, and not a moment longer", async () => {
  await inScope(async (scope) => {
    const spare = await replica(scope);
    const port = await freePort();
    const sidecar = await scope.sidecar({
      upstreams: {
        up: { discovery: "static", endpoints: [`127.0.0.1:${port}`], failover: ["spare"] },
        spare: { discovery: "static", endpoints: [spare.server.address] },
      },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    assert.deepEqual(await calls(caller, 5), ["0", "0", "0", "0", "0"]);
    assert.equal(spare.server.requests.length, 5);
    const line = await sidecar.call(4);
    assert.equal(line.upstream, "up", "it is still a call of the upstream that was asked for");
  });
});

test("calls stay in their zone while it stands, and go to others when it does not", async () => {
  const path = await mkdtemp(join(tmpdir(), "outrigger-zones-"));
  try {
    await inScope(async (scope) => {
      const discovery = { directory: { path } };
      const applications: Replica[] = [];
      for (const zone of ["a", "b"]) {
        const application = await replica(scope);
        applications.push(application);
        const service = { name: "up", address: application.server.address, meta: { zone } };
        await scope.sidecar({ service, discovery });
      }
      const sidecar = await scope.sidecar({ discovery, upstreams: { up: { zones: { own: "a" } } } });
      await eventually(
        () => statesOf(sidecar).length === 2,
        () => "both instances are known",
      );
      const caller = await connectPeer(scope, sidecar.outbound);
      await calls(caller, 20);
      const [own, other] = applications;
      assert.deepEqual([own?.server.requests.length, other?.server.requests.length], [20, 0]);
      if (own !== undefined) own.act = trailersOnly(14);
      await calls(caller, 20);
      assert.equal(other?.server.requests.length, 15, "five failures, and the zone has nobody left");
    });
  } finally {
    await rm(path, { recursive: true, force: true });
  }
});

test("a session comes back to its endpoint by the field that it was given", async () => {
  await inScope(async (scope) => {
    const { replicas, caller } = await world(scope, 3, { affinity: { metadata: "x-session" } });
    const first = await call(caller);
    const session = fieldOf(first.head, "x-session");
    assert.ok(session !== undefined);
    const at = replicas.findIndex(({ server }) => server.requests.length === 1);
    for (let n = 0; n < 10; n++) {
      const again = await call(caller, ["x-session", session]);
      assert.equal(fieldOf(again.head, "x-session"), undefined, "the caller has it");
    }
    assert.equal(replicas[at]?.server.requests.length, 11);
  });
});

test("a session comes back by a cookie, and the application's own cookies stay", async () => {
  await inScope(async (scope) => {
    const { replicas, caller } = await world(scope, 3, { affinity: { cookie: "session", maxAge: "1h" } });
    const first = await call(caller);
    const session = /^(session=[^;]+); Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/.exec(
      fieldOf(first.head, "set-cookie") ?? "",
    );
    assert.ok(session !== null);
    const at = replicas.findIndex(({ server }) => server.requests.length === 1);
    for (let n = 0; n < 10; n++) await call(caller, ["cookie", "theme=dark"], ["cookie", session[1] ?? ""]);
    assert.equal(replicas[at]?.server.requests.length, 11);
  });
});

test("an application that reports a third of the load of the other gets three times as many calls", async () => {
  await inScope(async (scope) => {
    const settings = { balancer: "weightedRoundRobin", loadReports: { blackout: "0s", update: "50ms" } };
    const { replicas, caller } = await world(scope, 2, settings);
    for (const [at, one] of replicas.entries()) {
      // rps_fractional = 6 and application_utilization = 9 of an OrcaLoadReport.
      const report = Buffer.alloc(18);
      report[0] = (6 << 3) | 1;
      report.writeDoubleLE(100, 1);
      report[9] = (9 << 3) | 1;
      report.writeDoubleLE(at === 0 ? 0.3 : 0.9, 10);
      one.act = inTrailers(0, ["answer"], ["endpoint-load-metrics-bin", report.toString("base64")]);
    }
    const share = async (): Promise<number> => {
      const before = replicas[0]?.server.requests.length ?? 0;
      await calls(caller, 40);
      return ((replicas[0]?.server.requests.length ?? 0) - before) / 40;
    };
    await eventually(
      async () => (await share()) === 0.75,
      () => "three of four calls at the idler one",
    );
  });
});

test("calls of one user go to one endpoint, by a hash of their metadata", async () => {
  await inScope(async (scope) => {
    const settings = { balancer: "maglev", hash: { by: "metadata", name: "x-user" } };
    const { replicas, caller } = await world(scope, 3, settings);
    for (const user of ["ann", "bob", "cat", "dan", "eve", "fay"]) {
      const before = replicas.map(({ server }) => server.requests.length);
      await calls(caller, 5, ["x-user", user]);
      const grown = replicas.filter(({ server }, at) => server.requests.length > (before[at] ?? 0));
      assert.equal(grown.length, 1, user);
    }
    assert.ok(replicas.filter(({ server }) => server.requests.length > 0).length > 1);
  });
});

test("checks by grpc.health.v1 find an application that is not serving behind a sidecar that is", async () => {
  await inScope(async (scope) => {
    const healthy: Act = (peer, stream) => {
      peer.headers(stream, [
        [":status", "200"],
        ["content-type", "application/grpc"],
      ]);
      peer.data(stream, Buffer.from([0, 0, 0, 0, 2, 8, 1]));
      peer.headers(stream, [["grpc-status", "0"]], true);
    };
    const good = await replica(scope, healthy);
    const ill = await replica(scope, trailersOnly(14));
    const healthCheck = { kind: "grpc", interval: "50ms", timeout: "50ms" };
    const endpoints = [good.server.address, ill.server.address];
    const sidecar = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints, healthCheck } } });
    await eventually(
      () => statesOf(sidecar).join() === "unhealthy,up",
      () => statesOf(sidecar).join(),
    );
    ill.act = healthy;
    await eventually(
      () => statesOf(sidecar).join() === "up,up",
      () => statesOf(sidecar).join(),
    );
  });
});
