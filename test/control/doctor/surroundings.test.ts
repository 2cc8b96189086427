import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { startAdmin } from "../../../src/control/admin.ts";
import { checkDestinations } from "../../../src/control/doctor/destinations.ts";
import { checkNames } from "../../../src/control/doctor/names.ts";
import { checkPorts } from "../../../src/control/doctor/ports.ts";
import { checkMachine, checkSidecar } from "../../../src/control/doctor/sidecar.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { DnsServer } from "../../support/dns-server.ts";
import { freePort, freePorts } from "../../support/ports.ts";
import { FakeView } from "../fake-view.ts";
import { found, wrong } from "./surroundings.ts";

async function taken(t: TestContext): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const listeners = (outbound: number, admin: number, probe: number) => ({
  listeners: { outbound: `127.0.0.1:${outbound}`, admin: `127.0.0.1:${admin}`, probe: `127.0.0.1:${probe}` },
});

test("free ports are in order, and one that is taken is told with who has it", async (t) => {
  const [one = 0, two = 0, three = 0] = await freePorts(3);
  assert.deepEqual(wrong(await found(checkPorts, listeners(one, two, three))), []);
  const findings = wrong(await found(checkPorts, listeners(await taken(t), two, three)));
  assert.equal(findings.length, 1);
  assert.match(
    findings[0] ?? "",
    new RegExp(`^error: outbound: cannot listen on .*: the port is in use by .*pid ${process.pid}`),
  );
});

test("of a running sidecar a listener that takes no connections is told", async (t) => {
  const admin = await taken(t);
  const config = listeners(await freePort(), admin, await taken(t));
  const running = { address: { kind: "tcp", host: "127.0.0.1", port: admin } } as const;
  const findings = wrong(await found(checkPorts, config, { running }));
  assert.equal(findings.length, 1);
  assert.match(findings[0] ?? "", /^error: outbound .* does not take connections: .*ECONNREFUSED/);
});

test("a name that does not resolve is told with the key that has it", async () => {
  const upstreams = {
    orders: { discovery: "static", endpoints: ["no-such-host.invalid:1", "localhost:2", "127.0.0.1:3"] },
  };
  const findings = await found(checkNames, { upstreams });
  assert.deepEqual(
    findings.map(({ verdict }) => verdict),
    ["error", "ok"],
  );
  assert.match(
    wrong(findings)[0] ?? "",
    /^error: no-such-host\.invalid \(upstreams\.orders\.endpoints\) does not resolve/,
  );
});

test("names of dns upstreams are asked of the name servers that the sidecar asks", async (t) => {
  const server = await DnsServer.start();
  t.after(() => server.stop());
  server.set("orders.test", { type: "A", address: "192.0.2.7" });
  server.set("_grpc._tcp.orders.test", { type: "SRV", target: "a.test", port: 1 });
  const dns = (more: object): object => ({ discovery: "dns", dns: more });
  const upstreams = {
    orders: dns({ name: "orders.test", port: 1 }),
    others: dns({ srv: "_grpc._tcp.orders.test" }),
    gone: dns({ name: "gone.test", port: 1 }),
  };
  const discovery = { dns: { servers: [server.address] } };
  const findings = await found(checkNames, { upstreams, discovery });
  assert.deepEqual(
    findings.map(({ verdict, evidence }) => `${verdict}: ${evidence}`),
    [
      "ok: orders.test (upstreams.orders.dns) has 1 addresses",
      "ok: _grpc._tcp.orders.test (upstreams.others.dns) has 1 SRV records",
      "error: gone.test (upstreams.gone.dns) does not resolve: cannot look up A of gone.test: the name does not exist; " +
        "cannot look up AAAA of gone.test: the name does not exist",
    ],
  );
  assert.match(findings[2]?.remedy ?? "", /discovery\.dns\.servers/);
});

test("a collector, a store, metrics and folders that are not there are told with what follows", async (t) => {
  const port = await freePort();
  const wrongConfig = {
    tracing: { otlp: `http://127.0.0.1:${port}` },
    metrics: { application: `http://127.0.0.1:${port}/metrics` },
    discovery: { directory: { path: "/proc/self/status/folder" } },
    rateLimits: [{ name: "a", direction: "outbound", limit: "1/s", store: `redis://127.0.0.1:${port}` }],
  };
  const findings = wrong(await found(checkDestinations, wrongConfig));
  assert.deepEqual(
    findings.map((text) => text.replace(/: (connect|ENOTDIR).*/, "").replaceAll(String(port), "PORT")),
    [
      "warning: http://127.0.0.1:PORT does not take connections",
      "warning: redis://127.0.0.1:PORT does not take connections",
      "warning: http://127.0.0.1:PORT/metrics does not answer",
      "error: /proc/self/status/folder cannot be written",
    ],
  );
  const metrics = createHttpServer((_request, response) => response.end("up 1\n")).listen(0, "127.0.0.1");
  await once(metrics, "listening");
  t.after(() => metrics.close());
  const { port: there } = metrics.address() as AddressInfo;
  const right = {
    tracing: { otlp: `http://127.0.0.1:${there}` },
    metrics: { application: `http://127.0.0.1:${there}/metrics` },
    // Its sidecar makes it.
    discovery: { directory: { path: "/tmp/no/such/folder" } },
  };
  assert.deepEqual(wrong(await found(checkDestinations, right)), []);
});

test("endpoints in the file that take no connections are told, all of them as an error", async (t) => {
  const server = createHttpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const there = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gone = `127.0.0.1:${await freePort()}`;
  const up = (...endpoints: string[]) => ({ discovery: "static", endpoints });
  const upstreams = { good: up(there), half: up(there, gone), bad: up(gone) };
  const findings = wrong(await found(checkDestinations, { upstreams }));
  assert.deepEqual(
    findings.map((text) => text.replaceAll(gone, "GONE")),
    [
      "warning: 1 of 2 endpoints of half take connections, not GONE: connect ECONNREFUSED GONE",
      "error: no endpoint of bad takes connections: GONE: connect ECONNREFUSED GONE",
    ],
  );
});

test("a running sidecar says itself what is wrong: not ready, no instances, none that is up, discovery that is silent", async (t) => {
  const view = new FakeView();
  const options = { view, hosts: () => [], clock: systemClock, log: pino({ level: "silent" }) };
  const admin = await startAdmin({ kind: "tcp", host: "127.0.0.1", port: 0 }, options);
  t.after(() => admin.close());
  const [orders, empty] = view.known.clusters;
  assert.ok(orders !== undefined && empty !== undefined);
  const down = { ...orders, name: "down", staleSince: null, endpoints: orders.endpoints.slice(1) };
  const good = { ...orders, name: "good", staleSince: null };
  view.known = { ...view.known, clusters: [orders, empty, down, good] };
  view.ready = {
    ready: false,
    waiting: [{ what: "orders", since: "2030-01-01T00:00:00.000Z", detail: "no answer yet" }],
  };
  assert.deepEqual(wrong(await found(checkSidecar, {}, { running: admin })), [
    "error: it is not ready and waits for orders: no answer yet",
    "warning: orders: 1 of 2 instances are up; consul has not answered since 2030-01-01T00:00:00.000Z",
    "error: static knows no instance of empty",
    "error: down: 0 of 1 instances are up; 10.0.0.2:15006 is unreachable: <b>10.0.0.2:15006 refused the connection</b>",
  ]);
  view.ready = { ready: true, detail: "the last configuration was refused: x" };
  assert.match(
    wrong(await found(checkSidecar, {}, { running: admin }))[0] ?? "",
    /^warning: the last configuration was refused/,
  );
});

test("what the machine gives a process is looked at", async () => {
  const findings = await found(checkMachine, {});
  assert.equal(findings.length, 1);
  assert.match(findings[0]?.evidence ?? "", /may open \d+ files/);
});
