import assert from "node:assert/strict";
import { test } from "node:test";
import { DnsSource } from "../../../src/discovery/dns/dns.ts";
import { nodeLookup } from "../../../src/discovery/dns/lookup.ts";
import { discoveryContract } from "../../contracts/discovery.ts";
import { DnsServer } from "../../support/dns-server.ts";
import { hosts, testServices, until, untilFresh, untilHosts, untilStale } from "../services.ts";
import { dnsOptions, SRV } from "./support.ts";

/** SRV records with a target for every instance; a list without one is believed, which the contract wants. */
discoveryContract(
  "dns",
  async () => {
    const server = await DnsServer.start();
    const services = testServices();
    const upstreams = ["orders", "billing", "nobody"];
    const names = new Map(upstreams.map((name) => [name, { kind: "srv", name: `${name}.test` } as const]));
    const options = dnsOptions({ servers: [server.address], refresh: 20, maxStale: 0, names });
    return {
      source: new DnsSource(options, services),
      lines: services.lines,
      publish: async (name, instances) => {
        for (const { host, port } of instances) server.set(`at-${port}.test`, { type: "A", address: host });
        const records = instances.map(
          ({ port, weight }) => ({ type: "SRV", target: `at-${port}.test`, port, weight: weight ?? 1 }) as const,
        );
        server.set(`${name}.test`, ...records);
      },
      fail: async () => {
        server.fault = "SERVFAIL";
      },
      heal: async () => {
        server.fault = undefined;
      },
      held: () => undefined,
      close: () => server.stop(),
    };
  },
  { withoutMeta: "DNS has none" },
);

async function withServer(body: (server: DnsServer) => Promise<void>): Promise<void> {
  const server = await DnsServer.start();
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

test("addresses of both families and their shortest time to live are read", () =>
  withServer(async (server) => {
    server.set(
      "orders.test",
      { type: "A", address: "10.0.0.1", ttl: 30 },
      { type: "A", address: "10.0.0.2", ttl: 20 },
      { type: "AAAA", address: "2001:db8::7", ttl: 0 },
    );
    const lookup = nodeLookup([server.address])();
    assert.deepEqual(await lookup.addresses("orders.test", 4), {
      kind: "records",
      records: ["10.0.0.1", "10.0.0.2"],
      ttl: 20_000,
    });
    assert.deepEqual(await lookup.addresses("orders.test", 6), {
      kind: "records",
      records: ["2001:db8::7"],
      ttl: undefined,
    });
  }));

test("an answer that does not fit into a datagram is asked for again over TCP", () =>
  withServer(async (server) => {
    const records = Array.from({ length: 60 }, (_, n) => ({ type: "A", address: `10.0.1.${n}`, ttl: 5 }) as const);
    server.set("many.test", ...records);
    const answer = await nodeLookup([server.address])().addresses("many.test", 4);
    assert.equal(answer.kind === "records" && answer.records.length, 60);
    assert.deepEqual(
      server.asked.map(({ over }) => over),
      ["udp", "tcp"],
    );
  }));

for (const [fault, kind, why] of [
  ["NXDOMAIN", "none", "the name does not exist"],
  ["empty", "none", "it has no such record"],
  ["SERVFAIL", "failed", "the name server fails (SERVFAIL)"],
  ["REFUSED", "failed", "the name server refuses to answer (REFUSED)"],
  ["garbage", "failed", "the name server's answer cannot be read"],
] as const) {
  test(`${fault} is ${kind === "none" ? "an answer that there is nothing" : "no answer"}`, () =>
    withServer(async (server) => {
      server.fault = fault;
      const lookup = nodeLookup([server.address])();
      const address = await lookup.addresses("orders.test", 4);
      if (fault === "garbage") assert.equal(address.kind, kind);
      else assert.deepEqual(address, { kind, why: `cannot look up A of orders.test: ${why}` });
      const services = await lookup.services("_grpc._tcp.orders.test");
      assert.equal(services.kind, kind);
    }));
}

test("a name server that is silent is no answer as soon as the lookup is given up", () =>
  withServer(async (server) => {
    server.fault = "silent";
    const lookup = nodeLookup([server.address])();
    const asked = lookup.addresses("orders.test", 4);
    await until(
      () => server.asked.length,
      (count) => count > 0,
    );
    lookup.cancel();
    assert.deepEqual(await asked, {
      kind: "failed",
      why: "cannot look up A of orders.test: the name servers took too long",
    });
  }));

test("a name server that is not there is no answer", async () => {
  const server = await DnsServer.start();
  const { address } = server;
  await server.stop();
  const answer = await nodeLookup([address])().addresses("orders.test", 4);
  assert.deepEqual(answer, { kind: "failed", why: "cannot look up A of orders.test: no name server can be reached" });
});

test("a name server that goes away and comes back costs nobody an instance", () =>
  withServer(async (server) => {
    const services = testServices();
    const source = new DnsSource(dnsOptions({ servers: [server.address], refresh: 100 }), services);
    try {
      server.set("orders.test", { type: "A", address: "10.0.0.1" });
      const { state } = source.subscribe("orders");
      await untilHosts(state, ["10.0.0.1:50051"]);
      for (const fault of ["SERVFAIL", "NXDOMAIN", "empty", "garbage"] as const) {
        server.fault = fault;
        await untilStale(state);
        assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"], fault);
        server.fault = undefined;
        await untilFresh(state);
      }
      assert.equal(services.lines.filter(({ level }) => level === 40).length, 4);
    } finally {
      await source.close();
    }
  }));

test("the answer of a real server is used for its time to live", () =>
  withServer(async (server) => {
    const source = new DnsSource(dnsOptions({ servers: [server.address], refresh: 50 }), testServices());
    try {
      server.set("orders.test", { type: "A", address: "10.0.0.1", ttl: 2 });
      const { state } = source.subscribe("orders");
      await untilHosts(state, ["10.0.0.1:50051"]);
      server.set("orders.test", { type: "A", address: "10.0.0.2", ttl: 60 });
      await untilHosts(state, ["10.0.0.2:50051"]);
      const [first, second] = server.asked.filter(({ type }) => type === "A").map(({ at }) => at);
      const pause = (second ?? 0) - (first ?? 0);
      assert.ok(pause >= 1990 && pause < 3000, `${pause} ms`);
      assert.equal(server.count("orders.test", "A"), 2);
    } finally {
      await source.close();
    }
  }));

test("the instances of SRV records are found at a real server", () =>
  withServer(async (server) => {
    const names = new Map([["orders", SRV]]);
    const source = new DnsSource(dnsOptions({ servers: [server.address], refresh: 50, names }), testServices());
    try {
      server.set(SRV.name, { type: "SRV", target: "a.test", port: 7001, weight: 3 });
      server.set("a.test", { type: "A", address: "10.0.0.1", ttl: 60 });
      const { state } = source.subscribe("orders");
      await untilHosts(state, ["10.0.0.1:7001"]);
      server.set(
        SRV.name,
        { type: "SRV", target: "a.test", port: 7001, weight: 3 },
        { type: "SRV", target: "b.test", port: 7002, weight: 1 },
      );
      server.set("b.test", { type: "AAAA", address: "fd00::2", ttl: 60 });
      await untilHosts(state, ["10.0.0.1:7001", "fd00::2:7002"]);
      assert.equal(server.count("a.test", "A"), 1);
    } finally {
      await source.close();
    }
  }));
