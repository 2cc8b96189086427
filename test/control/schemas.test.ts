import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { startAdmin } from "../../src/control/admin.ts";
import { systemClock } from "../../src/core/clock.ts";
import { logLevels } from "../../src/observability/log.ts";
import { anExplanation, FakeView } from "./fake-view.ts";
import { ask, type Reply } from "./http-client.ts";
import { probe } from "./probe-harness.ts";
import { accepts, schemaNames, why } from "./schema-files.ts";

const used = new Set<string>();

function fits(name: string, reply: Reply, status: number): void {
  assert.equal(reply.status, status, name);
  const value: unknown = JSON.parse(reply.text);
  used.add(name);
  assert.ok(accepts(name, value), `${name}: ${why(name)} in ${reply.text}`);
}

test("every answer of admin and probe fits its schema", async (t) => {
  const { view, address } = await probe(t);
  const options = { view, hosts: () => [], clock: systemClock, log: pino({ level: "silent" }) };
  const admin = await startAdmin({ kind: "tcp", host: "127.0.0.1", port: 0 }, options);
  t.after(() => admin.close());
  const post = (path: string, body = ""): Promise<Reply> =>
    ask(admin.address, path, { method: "POST", headers: { "content-type": "application/json" }, body });

  for (const listener of [admin.address, address]) {
    fits("ready", await ask(listener, "/ready"), 200);
    fits("live", await ask(listener, "/live"), 200);
    fits("error", await ask(listener, "/nothing"), 404);
    fits("error", await ask(listener, "/ready", { method: "PUT" }), 405);
  }
  fits("startup", await ask(address, "/startup"), 200);
  for (const name of ["config", "clusters", "connections"]) fits(name, await ask(admin.address, `/${name}`), 200);
  for (const path of ["/explain", "/explain?failed", "/explain?id=abcd-1"])
    fits("explain", await ask(admin.address, path), 200);
  fits("error", await ask(admin.address, "/explain?id=abcd-9"), 404);
  fits("error", await ask(admin.address, "/config", { headers: { host: "evil.example" } }), 403);
  fits("drain", await post("/drain"), 202);
  fits("quit", await post("/quit"), 202);
  for (const level of logLevels) fits("log-level", await post("/log-level", JSON.stringify({ level })), 200);
  fits("error", await post("/log-level", "{}"), 400);

  view.ready = { ready: true, detail: "the file was refused: outrigger.yaml:3:1: unknown key" };
  fits("ready", await ask(address, "/ready"), 200);
  const waiting = [{ what: "listeners", since: "2030-01-01T00:00:00.000Z", detail: "not every listener is bound yet" }];
  view.ready = { ready: false, waiting };
  view.wasReady = false;
  view.alive = false;
  fits("ready", await ask(address, "/ready"), 503);
  fits("startup", await ask(address, "/startup"), 503);
  fits("live", await ask(address, "/live"), 503);
});

test("every schema belongs to an answer, and refuses what is none", () => {
  const { known, open } = new FakeView();
  const [cluster] = known.clusters;
  const [connection] = open.connections;
  assert.ok(cluster !== undefined && connection !== undefined);
  const [endpoint] = cluster.endpoints;
  const { zone: _zone, ...withoutZone } = { ...endpoint };
  const wrong: [name: string, value: unknown][] = [
    ["ready", { ready: false }],
    ["ready", { ready: false, waiting: [] }],
    ["ready", { ready: true, waiting: [] }],
    ["ready", { ready: false, waiting: [{ what: "x", since: "yesterday", detail: "" }] }],
    ["startup", { started: "yes" }],
    ["live", {}],
    ["config", []],
    ["clusters", { clusters: [{ ...cluster, staleSince: 1 }] }],
    ["clusters", { clusters: [{ ...cluster, endpoints: [withoutZone] }] }],
    ["clusters", { clusters: [{ ...cluster, endpoints: [{ ...endpoint, extra: 1 }] }] }],
    ["connections", { connections: [{ ...connection, direction: "sideways" }] }],
    ["connections", { connections: [{ ...connection, streams: -1 }] }],
    ["explain", {}],
    ["explain", { explanations: [] }],
    ["explain", { explanations: [{ ...anExplanation, extra: 1 }] }],
    ["explain", { explanations: [{ ...anExplanation, startedAt: "yesterday" }] }],
    ["drain", { draining: false }],
    ["quit", {}],
    ["log-level", { level: "loud" }],
    ["error", { error: "x", address: "10.0.0.1" }],
  ];
  for (const [name, value] of wrong) assert.ok(!accepts(name, value), `${name} ${JSON.stringify(value)}`);
  assert.deepEqual(new Set(schemaNames), used);
});
