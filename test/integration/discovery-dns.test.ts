import assert from "node:assert/strict";
import { test } from "node:test";
import { type DnsFault, DnsServer } from "../support/dns-server.ts";
import { Caller, NamedServer } from "../support/named-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

async function dnsIn(scope: Scope): Promise<DnsServer> {
  const dns = await DnsServer.start();
  scope.onEnd(() => dns.stop());
  return dns;
}

const start = (scope: Scope, dns: DnsServer, upstream: object): Promise<Sidecar> =>
  scope.sidecar({
    discovery: { dns: { servers: [dns.address], refresh: "1s" } },
    upstreams: { orders: { dns: upstream } },
  });

/** Waits until DNS was asked once more and the answer has been taken. */
async function refreshed(sidecar: Sidecar, dns: DnsServer, name: string): Promise<void> {
  const before = dns.count(name);
  sidecar.clock.jump(1200);
  await eventually(
    () => dns.count(name) > before,
    () => `another question about ${name}`,
  );
}

function cluster(sidecar: Sidecar) {
  const [found] = sidecar.runtime.upstreams.clusters();
  assert.ok(found !== undefined);
  return found;
}

test("calls go to every address of a host, and to none more when it has other ones", () =>
  inScope(async (scope) => {
    const dns = await dnsIn(scope);
    const one = await NamedServer.start(scope, "one");
    const two = await NamedServer.start(scope, "two", one.port, "127.0.0.2");
    dns.set("orders.test", { type: "A", address: "127.0.0.1", ttl: 1 }, { type: "A", address: "127.0.0.2", ttl: 1 });
    const sidecar = await start(scope, dns, { name: "orders.test", port: one.port });
    const caller = new Caller(scope, sidecar.outbound, "orders");
    assert.deepEqual([...(await caller.outcomes(20))].sort(), ["one", "two"]);
    dns.set("orders.test", { type: "A", address: "127.0.0.2", ttl: 1 });
    await refreshed(sidecar, dns, "orders.test");
    await eventually(
      () => cluster(sidecar).size === 1,
      () => "one endpoint",
    );
    const before = one.calls;
    assert.deepEqual([...(await caller.outcomes(20))], ["two"]);
    assert.equal(one.calls, before);
    assert.ok(two.calls >= 20);
  }));

test("no fault of DNS fails a call", () =>
  inScope(async (scope) => {
    const dns = await dnsIn(scope);
    const server = await NamedServer.start(scope, "orders");
    dns.set("_grpc._tcp.orders.test", { type: "SRV", target: "a.test", port: server.port });
    dns.set("a.test", { type: "A", address: "127.0.0.1", ttl: 1 });
    const sidecar = await start(scope, dns, { srv: "_grpc._tcp.orders.test" });
    const caller = new Caller(scope, sidecar.outbound, "orders");
    assert.equal(await caller.outcome(), "orders");
    for (const fault of ["NXDOMAIN", "SERVFAIL", "empty", "REFUSED", "garbage"] satisfies DnsFault[]) {
      dns.fault = fault;
      await refreshed(sidecar, dns, "_grpc._tcp.orders.test");
      assert.deepEqual([...(await caller.outcomes(20))], ["orders"], fault);
    }
    const { current } = cluster(sidecar).state;
    assert.ok(current.kind === "known" && current.staleSince !== undefined);
    assert.equal(server.calls, 101);
  }));

test("an endpoint that is out stays out while DNS says the same again, and calls do not try it anew", () =>
  inScope(async (scope) => {
    const dns = await dnsIn(scope);
    const alive = await NamedServer.start(scope, "alive");
    const dead = { type: "A", address: "127.0.0.3", ttl: 1 } as const;
    dns.set("orders.test", { type: "A", address: "127.0.0.1", ttl: 1 }, dead);
    const sidecar = await start(scope, dns, { name: "orders.test", port: alive.port });
    const caller = new Caller(scope, sidecar.outbound, "orders");
    const out = () => [...cluster(sidecar).endpoints].find(({ state }) => state.kind === "unreachable");
    await eventually(
      async () => {
        assert.deepEqual([...(await caller.outcomes(10))], ["alive"]);
        return out() !== undefined;
      },
      () => "the dead endpoint to be found out",
    );
    const found = out();
    const { selected } = found ?? {};
    for (let round = 0; round < 5; round++) {
      await refreshed(sidecar, dns, "orders.test");
      assert.deepEqual([...(await caller.outcomes(10))], ["alive"]);
    }
    assert.equal(out(), found);
    assert.equal(out()?.selected, selected);
  }));
