import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { jsonSchema } from "../../src/config/schema-json.ts";
import { type ControlServers, startControl } from "../../src/control/servers.ts";
import { freePort } from "../support/ports.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { Sidecar, type SidecarConfig } from "../support/with-proxy.ts";
import { HealthClient } from "./health-client.ts";
import { ask } from "./http-client.ts";
import { until } from "./probe-harness.ts";
import { accepts } from "./schema-files.ts";

interface Controlled {
  readonly sidecar: Sidecar;
  readonly control: ControlServers;
  readonly asked: string[];
  readonly page: (path: string) => Promise<unknown>;
}

/** A real sidecar with its listeners for people and probes. */
async function controlled(t: TestContext, config: SidecarConfig): Promise<Controlled> {
  const sidecar = await Sidecar.start(config);
  const asked: string[] = [];
  const shutdown = { drain: () => void asked.push("drain"), quit: () => void asked.push("quit") };
  const control = await startControl(sidecar.runtime, shutdown, sidecar.runtime.config);
  t.after(async () => {
    await control.close();
    await sidecar.runtime.stop();
  });
  const page = async (path: string): Promise<unknown> => JSON.parse((await ask(control.admin, path)).text);
  return { sidecar, control, asked, page };
}

test("admin tells of a sidecar's upstreams, connections and configuration, in the form of the schemas", async (t) => {
  const gone = await freePort();
  const callee = await controlled(t, { service: { name: "orders", address: `127.0.0.1:${gone}` } });
  const caller = await controlled(t, {
    upstreams: {
      orders: { discovery: "static", endpoints: [callee.sidecar.inbound, `127.0.0.1:${gone}`], listen: "127.0.0.1:0" },
    },
  });
  const [, listener] = caller.sidecar.runtime.listeners.outbound;
  assert.ok(listener !== undefined);
  const client = new HealthClient(listener.listener.address);
  t.after(() => client.close());
  for (let index = 0; index < 4; index++) assert.match(await client.check(""), /^14 /);
  await until(() => [...caller.sidecar.runtime.upstreams.clusters()].length === 1, "the upstream");

  const pages: Record<string, unknown> = {};
  for (const name of ["ready", "live", "clusters", "connections", "config"]) {
    pages[name] = await caller.page(`/${name}`);
    assert.ok(accepts(name, pages[name]), `${name}: ${JSON.stringify(pages[name])}`);
  }
  const [cluster, ...more] = Object(pages.clusters).clusters;
  assert.deepEqual(more, []);
  assert.equal(cluster.name, "orders");
  assert.equal(cluster.source, "static");
  assert.equal(cluster.balancer, "leastRequest");
  const byAddress = new Map<unknown, Record<string, unknown>>(
    cluster.endpoints.map((endpoint: Record<string, unknown>) => [endpoint.address, endpoint]),
  );
  assert.equal(byAddress.size, 2);
  assert.equal(byAddress.get(callee.sidecar.inbound)?.state, "up");
  const unreachable = byAddress.get(`127.0.0.1:${gone}`);
  assert.equal(unreachable?.state, "unreachable");
  assert.match(String(unreachable.lastError), new RegExp(`127\\.0\\.0\\.1:${gone}`));

  const { connections } = Object(pages.connections);
  const open = connections.filter(({ state }: { state: string }) => state === "open");
  assert.deepEqual(
    open.map(({ direction, made, upstream }: Record<string, unknown>) => ({ direction, made, upstream })),
    [
      { direction: "outbound", made: "accepted", upstream: null },
      { direction: "outbound", made: "dialled", upstream: "orders" },
    ],
  );
  assert.equal(open[1].peer, callee.sidecar.inbound);

  // What admin shows of the configuration can be given back as a file.
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile({ ...jsonSchema() });
  assert.ok(validate(pages.config), JSON.stringify(validate.errors));
});

test("probe speaks for a sidecar without an application, until it drains", async (t) => {
  const { sidecar, control, asked } = await controlled(t, { drain: { notice: "50ms", grace: "100ms" } });
  const client = new HealthClient(control.probe);
  t.after(() => client.close());
  assert.equal(await client.check(""), "SERVING");
  assert.match(await client.check("user.v1.UserService"), /^5 /);
  assert.equal((await ask(control.probe, "/startup")).status, 200);

  const seen: string[] = [];
  const watch = client.watch("");
  watch.on("data", (status: string) => seen.push(status)).on("error", () => {});
  await until(() => seen.length === 1, "the first state");
  await sidecar.runtime.drain();
  await until(() => seen.length === 2, "the drain");
  assert.deepEqual(seen, ["SERVING", "NOT_SERVING"]);
  assert.equal(await client.check(""), "NOT_SERVING");
  assert.equal((await ask(control.probe, "/ready")).status, 503);
  assert.equal((await ask(control.probe, "/live")).status, 200);
  assert.equal((await ask(control.probe, "/startup")).status, 200);
  assert.deepEqual(asked, []);
  watch.cancel();
});

test("what admin is asked to do reaches the process, and the log", async (t) => {
  const { sidecar, control, asked } = await controlled(t, {});
  const post = (path: string, body = "") =>
    ask(control.admin, path, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.equal((await post("/log-level", '{"level":"error"}')).status, 200);
  assert.equal(sidecar.runtime.services.log.level, "error");
  assert.equal((await post("/drain")).status, 202);
  assert.equal((await post("/quit")).status, 202);
  await until(() => asked.length === 2, "both");
  assert.deepEqual(asked, ["drain", "quit"]);
});

test("both listeners give the same metrics", async (t) => {
  const { control } = await controlled(t, {});
  for (const address of [control.admin, control.probe]) {
    const families = parseMetrics((await ask(address, "/metrics")).text);
    assert.equal(sampleValue(families, "outrigger_config_version"), 1);
  }
});

test("where probe cannot be bound, admin is not left behind", async (t) => {
  const taken = await controlled(t, {});
  const { probe } = taken.control;
  assert.ok(probe.kind === "tcp");
  const { runtime } = taken.sidecar;
  const port = await freePort();
  const admin = { kind: "tcp", host: "127.0.0.1", port } as const;
  const config = { ...runtime.config, listeners: { ...runtime.config.listeners, admin, probe } };
  const shutdown = { drain() {}, quit() {} };
  await assert.rejects(startControl(runtime, shutdown, config), new RegExp(String(probe.port)));
  await assert.rejects(ask(admin, "/live"), /ECONNREFUSED/);
});
