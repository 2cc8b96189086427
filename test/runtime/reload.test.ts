import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import type { Cluster } from "../../src/cluster/cluster.ts";
import type { Config } from "../../src/config/types.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Reload } from "../../src/reload.ts";
import { freePorts } from "../support/ports.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { offered } from "./offered.ts";

const ok = [
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-status", "0"],
] as const;

/** What is in force, with other upstreams. */
function withUpstreams(sidecar: Sidecar, upstreams: Readonly<Record<string, unknown>>): Config {
  return offered(sidecar, { upstreams });
}

async function server(scope: Scope): Promise<RawServer> {
  const made = await RawServer.listen();
  scope.onEnd(() => made.close());
  return made;
}

function cluster(sidecar: Sidecar, name: string): Cluster {
  for (const one of sidecar.runtime.upstreams.clusters()) if (one.name === name) return one;
  throw new Error(`no upstream ${name}`);
}

const to = (...servers: readonly RawServer[]) => ({
  discovery: "static",
  endpoints: servers.map(({ address }) => address),
});

test("an upstream keeps its cluster, endpoints and connections while its settings, and those of others, change", async () => {
  await inScope(async (scope) => {
    const [up, other] = [await server(scope), await server(scope)];
    const sidecar = await scope.sidecar({ upstreams: { up: to(up) } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const stream = caller.request(callHead("up"));
    const upstream = await up.peer();
    const request = await upstream.nextRequest();
    const before = cluster(sidecar, "up");
    const [endpoint] = before.endpoints;
    const changes = [
      { up: { ...to(up), timeout: "90s" } },
      { up: { ...to(up), balancer: "roundRobin" }, other: to(other) },
      { up: { ...to(up, other), hosts: ["up.internal"] } },
    ];
    for (const upstreams of changes) {
      const result = await sidecar.runtime.apply(withUpstreams(sidecar, upstreams));
      assert.equal(result.kind, "applied");
      // Not `equal`: what it would print of two clusters does not fit into memory.
      assert.ok(cluster(sidecar, "up") === before, "the same cluster");
      assert.ok(endpoint !== undefined && [...before.endpoints].includes(endpoint), "the same endpoint");
    }
    // The stream that was open over all of them goes on and ends.
    caller.data(stream, message("hello"), true);
    await upstream.next("data", request.stream);
    upstream.headers(request.stream, ok, true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    assert.equal(up.peers.length, 1);
  });
});

test("an endpoint that the configuration takes away ends its calls and gets no more", async () => {
  await inScope(async (scope) => {
    const [old, next] = [await server(scope), await server(scope)];
    const sidecar = await scope.sidecar({ upstreams: { up: to(old) } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const first = caller.request(callHead("up"), true);
    const held = await (await old.peer()).nextRequest();
    await sidecar.runtime.apply(withUpstreams(sidecar, { up: to(next) }));
    const second = caller.request(callHead("up"), true);
    const taken = await (await next.peer()).nextRequest();
    next.peers[0]?.headers(taken.stream, ok, true);
    old.peers[0]?.headers(held.stream, ok, true);
    for (const stream of [first, second]) assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
  });
});

test("a setting that cannot change refuses the whole file, naming it, and nothing of it is in force", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const sidecar = await scope.sidecar({ upstreams: { up: to(up) } });
    const offered = withUpstreams(sidecar, { up: to(up), other: to(up) });
    const outbound = { kind: "tcp", host: "127.0.0.1", port: 1 } as const;
    const result = await sidecar.runtime.apply({ ...offered, listeners: { ...offered.listeners, outbound } });
    assert.deepEqual(result, { kind: "refused", why: "listeners.outbound cannot change while running" });
    assert.deepEqual(
      [...sidecar.runtime.upstreams.clusters()].map(({ name }) => name),
      ["up"],
    );
    const ready = sidecar.runtime.ready();
    assert.match(ready.ready ? (ready.detail ?? "") : "", /refused: listeners\.outbound cannot change/);
    assert.equal(sidecar.runtime.version, 1);
    const again = await sidecar.runtime.apply(withUpstreams(sidecar, { up: to(up) }));
    assert.equal(again.kind === "refused", false);
    assert.deepEqual(sidecar.runtime.ready(), { ready: true });
  });
});

test("a listener of an upstream comes, goes from one upstream to another with its connections, and goes", async () => {
  await inScope(async (scope) => {
    const [one, other] = [await server(scope), await server(scope)];
    const [port] = await freePorts(1);
    const listen = `127.0.0.1:${port}`;
    const sidecar = await scope.sidecar({ upstreams: { one: to(one), other: to(other) } });
    await sidecar.runtime.apply(withUpstreams(sidecar, { one: { ...to(one), listen }, other: to(other) }));
    const caller = await connectPeer(scope, listen);
    const call = async (at: RawServer): Promise<void> => {
      const stream = caller.request(callHead("whatever"), true);
      const peer = at.peers[0] ?? (await at.peer());
      const request = await peer.nextRequest();
      peer.headers(request.stream, ok, true);
      assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    };
    await call(one);
    const moved = withUpstreams(sidecar, { one: to(one), other: { ...to(other), listen } });
    assert.equal((await sidecar.runtime.apply(moved)).kind, "applied");
    await call(other);
    assert.deepEqual(
      sidecar.runtime.listeners.outbound.map(({ name }) => name),
      ["outbound", "upstreams.other"],
    );
    await sidecar.runtime.apply(withUpstreams(sidecar, { one: to(one), other: to(other) }));
    await caller.next("goaway");
    await assert.rejects(connectPeer(scope, listen), /ECONNREFUSED/);
  });
});

test("a listener that cannot be bound refuses the whole file and leaves nothing bound", async () => {
  await inScope(async (scope) => {
    const [up, holder] = [await server(scope), await server(scope)];
    const [port] = await freePorts(1);
    const sidecar = await scope.sidecar({ upstreams: { up: to(up) } });
    const upstreams = { up: { ...to(up), listen: `127.0.0.1:${port}` }, other: { ...to(up), listen: holder.address } };
    const result = await sidecar.runtime.apply(withUpstreams(sidecar, upstreams));
    assert.match(result.kind === "refused" ? result.why : "", /in use/);
    await assert.rejects(connectPeer(scope, `127.0.0.1:${port}`), /ECONNREFUSED/);
  });
});

test("a broken file that comes while the one before is still being put in force is what is told of", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const [port] = await freePorts(1);
    const sidecar = await scope.sidecar({ upstreams: { up: to(up) } });
    const listening = withUpstreams(sidecar, { up: { ...to(up), listen: `127.0.0.1:${port}` } });
    const results = [sidecar.runtime.apply(listening), sidecar.runtime.refuse("it is broken")];
    assert.deepEqual(
      (await Promise.all(results)).map(({ kind }) => kind),
      ["applied", "refused"],
    );
    assert.equal(sidecar.runtime.lastRefusal, "it is broken");
  });
});

test("a file is offered when it changes and on request; what is wrong with it is told once and changes nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-reload-"));
  const file = join(folder, "outrigger.yaml");
  const applied: Config[] = [];
  const refused: string[] = [];
  const told: string[] = [];
  await writeFile(file, "drain: { notice: 1s }");
  const reload = new Reload({
    file,
    text: "drain: { notice: 1s }",
    env: {},
    runtime: {
      apply: async (config) => {
        applied.push(config);
        return { kind: "applied", version: applied.length + 1 };
      },
      refuse: async (why) => {
        refused.push(why);
        return { kind: "refused", why };
      },
    },
    clock: systemClock,
    log: pino({ level: "warn" }, { write: (line) => void told.push(line) }),
  });
  try {
    assert.equal(applied.length, 0, "it says what it said");
    const written = performance.now();
    await writeFile(file, "drain: { notice: 2s }");
    await eventually(
      () => applied.length === 1,
      () => "the change was not offered",
    );
    assert.equal(applied[0]?.drain.notice, 2000);
    assert.ok(performance.now() - written < 1000);
    await writeFile(file, "drain: { notices: 2s }\nconsul: {}");
    await eventually(
      () => refused.length === 1,
      () => "the broken file was not told of",
    );
    assert.match(
      refused[0] ?? "",
      /^.*outrigger\.yaml:1:10: unknown key "notices", and 1 more$|^.*outrigger\.yaml:1:\d+: /,
    );
    assert.ok(!refused[0]?.includes("\n"), "one line");
    await reload.request();
    assert.equal(refused.length, 2, "who asks is told");
    await rm(file);
    await reload.request();
    assert.match(refused[2] ?? "", /^cannot read /);
    await eventually(
      () => told.some((line) => /cannot read .* any more: what was read of it before stays in force/.test(line)),
      () => "that the file is gone was not told of",
      30_000,
    );
    assert.equal(applied.length, 1);
  } finally {
    reload.close();
    await rm(folder, { recursive: true, force: true });
  }
});
