import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { RuntimeView } from "../../src/control/runtime-view.ts";
import { FakeResources } from "../limits/fake-resources.ts";
import { sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import type { RawField } from "../support/raw-hpack.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { ask, closed, connectTo, httpServer, tcpServer } from "../support/socket-mesh.ts";
import {
  eventually,
  inScope,
  type Scope,
  type Sidecar,
  type SidecarConfig,
  wholeConfig,
} from "../support/with-proxy.ts";

interface World {
  readonly sidecar: Sidecar;
  /** Has the sidecar see so many percent of its memory used. */
  readonly memoryAt: (percent: number) => void;
}

/** A sidecar of whose memory the test says how much is used. */
async function world(scope: Scope, config: SidecarConfig): Promise<World> {
  const resources = new FakeResources();
  const sidecar = await scope.sidecar(config, { resources });
  const memoryAt = (percent: number): void => {
    resources.memoryAt = percent;
    sidecar.clock.jump(1000);
  };
  return { sidecar, memoryAt };
}

const reasonOf = (head: readonly RawField[]): string | undefined => fieldOf(head, "outrigger-reason");

/** What becomes of a sheddable, an ordinary and a critical call: the reason, or the status. */
async function outcomes(caller: RawPeer): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (const criticality of ["sheddable", "ordinary", "critical"]) {
    const { head, trailers } = await caller.answer(
      caller.request(callHead("up", ["x-criticality", criticality]), true),
    );
    found.push(reasonOf(head) ?? fieldOf(trailers ?? head, "grpc-status"));
  }
  return found;
}

for (const direction of ["inbound", "outbound"] as const)
  test(`calls (${direction}) are shed as memory gets short, those that matter least first, and taken again as there is more of it`, async () => {
    await inScope(async (scope) => {
      const app = await ScriptedServer.start(scope, inTrailers(0));
      const overload = { criticality: "x-criticality", memory: { refuseConnections: "never" } };
      const upstreams = { up: { discovery: "static", endpoints: [app.address] } };
      const { sidecar, memoryAt } = await world(
        scope,
        direction === "inbound" ? { service: { name: "up", address: app.address }, overload } : { upstreams, overload },
      );
      const caller = await connectPeer(scope, sidecar[direction]);
      const seen: Record<number, unknown> = {};
      for (const percent of [80, 93, 96, 99]) {
        memoryAt(percent);
        seen[percent] = await outcomes(caller);
      }
      memoryAt(91);
      seen[91] = await outcomes(caller);
      memoryAt(80);
      seen[80] = await outcomes(caller);
      assert.deepEqual(seen, {
        80: ["0", "0", "0"],
        93: ["OVERLOAD", "0", "0"],
        96: ["OVERLOAD", "OVERLOAD", "0"],
        99: ["OVERLOAD", "OVERLOAD", "OVERLOAD"],
        // Of all calls only those are taken again whose action is over.
        91: ["OVERLOAD", "OVERLOAD", "0"],
      });
      const metrics = await sidecar.metrics();
      const effects = (action: string) => sampleValue(metrics, "outrigger_overload_effects_total", { action });
      assert.deepEqual(
        ["refuseSheddable", "refuseOrdinary", "refuseAll"].map(effects),
        [4, 3, 1],
        "each is counted for the first action that refuses it",
      );
      assert.equal(sampleValue(metrics, "outrigger_overload_pressure", { resource: "memory" }), 0.8);
      assert.equal(sampleValue(metrics, "outrigger_overload_action_active", { action: "refuseAll" }), 0);
      assert.equal(sampleValue(metrics, "outrigger_overload_actions_total", { action: "refuseAll" }), 1);
    });
  });

test("/clusters says what is short and what is done about it, and an explanation which resource refused the call", async () => {
  await inScope(async (scope) => {
    const app = await ScriptedServer.start(scope, inTrailers(0));
    const { sidecar, memoryAt } = await world(scope, {
      upstreams: { up: { discovery: "static", endpoints: [app.address] } },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    memoryAt(96);
    await caller.answer(caller.request(callHead("up"), true));
    const view = new RuntimeView(sidecar.runtime, { drain: () => {}, quit: () => {} }, "test");
    const { resources, actions } = view.clusters().overload;
    assert.deepEqual(resources[0], {
      name: "memory",
      unit: "octets",
      value: 96 * 1_048_576,
      available: 100 * 1_048_576,
      pressure: 0.96,
    });
    const refusing = actions.find(({ name }) => name === "refuseOrdinary");
    assert.equal(refusing?.why, "memory at 96% (96 of 100 MiB), refuseOrdinary is from 95%");
    assert.equal(refusing?.effects, 1);
    assert.equal(actions.find(({ name }) => name === "refuseAll")?.since, null);
    const [last] = view.latestCalls(1, true);
    const [explained] = view.explain(last?.id ?? "");
    const step = explained?.steps.find(({ decision }) => decision === "limit");
    assert.deepEqual([step?.text, step?.value, step?.threshold], ["limit overload.memory: 1 of 0.95", 0.96, 0.95]);
    assert.equal(view.readiness().ready, true, "an orchestrator that took it out would load the others with its calls");
  });
});

test("a request of HTTP/1.1 is refused with 503 and when to come again, a connection of TCP is closed", async () => {
  await inScope(async (scope) => {
    const http = await httpServer(scope, (_request, response) => void response.end("ok"));
    const tcp = await tcpServer(scope, (socket) => void socket.pipe(socket));
    const up = { discovery: "static", listen: "127.0.0.1:0" };
    const { sidecar, memoryAt } = await world(scope, {
      upstreams: {
        web: { ...up, protocol: "http1", endpoints: [http.address] },
        db: { ...up, protocol: "tcp", endpoints: [tcp.address] },
      },
      overload: { memory: { refuseConnections: "never" } },
    });
    memoryAt(99);
    const refused = await ask(sidecar.listen("web"));
    assert.equal(refused.status, 503);
    assert.equal(refused.headers["outrigger-reason"], "OVERLOAD");
    assert.equal(refused.headers["retry-after"], "1");
    await closed(await connectTo(scope, sidecar.listen("db")));
    assert.equal((await sidecar.call(1)).reason, "OVERLOAD");
    memoryAt(10);
    assert.equal((await ask(sidecar.listen("web"))).body, "ok");
  });
});

test("new connections are closed at once, those that are there stay, and ones without a call are asked to go", async () => {
  await inScope(async (scope) => {
    const app = await ScriptedServer.start(scope, inTrailers(0));
    const { sidecar, memoryAt } = await world(scope, { service: { name: "up", address: app.address } });
    const idle = await connectPeer(scope, sidecar.inbound);
    await idle.answer(idle.request(callHead("up"), true));
    memoryAt(99);
    const [host = "", port = ""] = sidecar.inbound.split(":");
    const late = connect({ host, port: Number(port) });
    scope.onEnd(() => void late.destroy());
    late.on("error", () => {});
    await closed(late);
    assert.equal(reasonOf((await idle.answer(idle.request(callHead("up"), true))).head), "OVERLOAD");
    const metrics = await sidecar.metrics();
    const refused = { listener: "inbound", limit: "overload" };
    assert.equal(sampleValue(metrics, "outrigger_connections_refused_total", refused), 1);
    sidecar.clock.jump(6000);
    await idle.next("goaway");
    assert.ok(sidecar.lines.some(({ limit }) => limit === "overload"));
    memoryAt(10);
    const again = await connectPeer(scope, sidecar.inbound);
    const { trailers } = await again.answer(again.request(callHead("up"), true));
    assert.equal(fieldOf(trailers ?? [], "grpc-status"), "0");
  });
});

test("while memory is short no body is kept for another attempt, and a call with one is not made again", async () => {
  await inScope(async (scope) => {
    /** Once it has the body, which the sidecar then has let go of or not. */
    const unavailable: Act = (peer, stream) =>
      void peer.next("data", stream).then(() => trailersOnly(14)(peer, stream));
    const app = await ScriptedServer.start(
      scope,
      unavailable,
      inTrailers(0),
      inTrailers(0),
      unavailable,
      inTrailers(0),
    );
    const retry = { idempotentMethods: ["*"] };
    const { sidecar, memoryAt } = await world(scope, {
      upstreams: { up: { discovery: "static", endpoints: [app.address], retry } },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const call = async (): Promise<string | undefined> => {
      const stream = caller.request(callHead("up"));
      caller.data(stream, Buffer.alloc(100), true);
      const { head, trailers } = await caller.answer(stream);
      return fieldOf(trailers ?? head, "grpc-status");
    };
    assert.equal(await call(), "0");
    memoryAt(91);
    // With a connection that is there: what waits for one is kept all the same.
    await caller.answer(caller.request(callHead("up"), true));
    assert.equal(await call(), "14");
    assert.equal(app.requests.length, 4);
  });
});

test("another configuration holds at once, by what the process really uses", async () => {
  await inScope(async (scope) => {
    const app = await ScriptedServer.start(scope, inTrailers(0));
    const config = (limit: string) => ({
      service: { name: "up", address: app.address },
      overload: { memory: { limit, refuseConnections: "never" } },
    });
    const sidecar = await scope.sidecar(config("1MiB"));
    const caller = await connectPeer(scope, sidecar.inbound);
    const call = async (): Promise<string | undefined> =>
      reasonOf((await caller.answer(caller.request(callHead("up"), true))).head);
    assert.equal(await call(), "OVERLOAD");
    for (const [limit, expected] of [
      ["1024GiB", undefined],
      ["2MiB", "OVERLOAD"],
    ] as const) {
      const loaded = loadConfig(JSON.stringify(wholeConfig(config(limit))), { file: "test.yaml", env: {} });
      assert.ok(loaded.ok);
      assert.equal((await sidecar.runtime.apply(loaded.config)).kind, "applied");
      assert.equal(await call(), expected);
    }
    const actions = sidecar.runtime.services.overload.actions.find(({ name }) => name === "refuseAll");
    assert.equal(actions?.times, 2);
    await eventually(
      () => sidecar.lines.some(({ msg }) => msg === "no longer overloaded: refuseAll is over"),
      () => "the line of the log",
    );
  });
});

test("a request that crosses the end of its idle connection is not carried: nobody could have its answer", async () => {
  await inScope(async (scope) => {
    const paths: string[] = [];
    const app = await httpServer(scope, ({ url }, response) => {
      paths.push(url ?? "");
      response.end();
    });
    const service = { name: "a", address: app.address, protocol: "http1", health: "none" };
    const sidecar = await scope.sidecar({ service });
    const caller = await connectTo(scope, sidecar.inbound);
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
    caller.write(get("/before"));
    await once(caller, "data");
    await eventually(
      () => sidecar.runtime.listeners.closeIdle(0) === 1,
      () => "the connection to be closed",
    );
    assert.equal(sidecar.runtime.listeners.closeIdle(0), 0);
    caller.end(get("/behind"));
    await once(caller.resume(), "close");
    assert.equal((await ask(sidecar.inbound)).status, 200);
    assert.deepEqual(paths, ["/before", "/"]);
  });
});
