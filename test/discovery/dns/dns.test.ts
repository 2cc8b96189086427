import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AnswerCache } from "../../../src/discovery/answer-cache.ts";
import { DnsSource } from "../../../src/discovery/dns/dns.ts";
import type { DnsFamily } from "../../../src/discovery/dns/options.ts";
import type { Discovered, EndpointSpec } from "../../../src/discovery/source.ts";
import { FakeClock } from "../../support/clock.ts";
import { hosts, testServices } from "../services.ts";
import { dnsOptions, ScriptedResolver, SRV, withScript } from "./support.ts";

const names = new Map([["orders", SRV]]);
const target = (name: string, port: number, more: { priority?: number; weight?: number } = {}) => ({
  target: name,
  port,
  priority: 0,
  weight: 1,
  ...more,
});

function endpoints(state: Discovered): readonly EndpointSpec[] {
  assert.ok(state.kind === "known");
  return state.endpoints;
}

function staleSince(state: Discovered): number | undefined {
  assert.ok(state.kind === "known");
  return state.staleSince;
}

test("every address of a host is an instance, and keeps its identity over answers in any order", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["10.0.0.2", "10.0.0.1"], 1);
    const { state } = source.subscribe("orders");
    await clock.pass(0);
    const before = endpoints(state.current);
    assert.deepEqual(
      before.map(({ id, weight, zone, meta }) => ({ id, weight, zone, meta })),
      ["10.0.0.1:50051", "10.0.0.2:50051"].map((id) => ({ id, weight: 1, zone: undefined, meta: {} })),
    );
    resolver.host("orders.test", ["10.0.0.1", "10.0.0.2"], 1);
    await clock.pass(1000);
    assert.equal(endpoints(state.current), before);
    resolver.host("orders.test", ["10.0.0.3", "10.0.0.1", "10.0.0.3"], 1);
    await clock.pass(1000);
    assert.deepEqual(
      endpoints(state.current).map(({ id }) => id),
      ["10.0.0.1:50051", "10.0.0.3:50051"],
    );
  }));

for (const [family, wanted] of [
  ["auto", ["10.0.0.1:50051"]],
  ["ipv4", ["10.0.0.1:50051"]],
  ["ipv6", ["fd00::1:50051"]],
  ["both", ["10.0.0.1:50051", "fd00::1:50051"]],
] as const) {
  test(`of a host with addresses of both families ${family} takes ${wanted.join(" and ")}`, () =>
    withScript(
      async ({ clock, resolver, source }) => {
        resolver.host("orders.test", ["10.0.0.1", "fd00::1"]);
        const { state } = source.subscribe("orders");
        await clock.pass(0);
        assert.deepEqual(hosts(state.current), wanted);
        const types = resolver.asked.map((line) => line.split(" ")[1]);
        assert.deepEqual(types, family === "ipv4" ? ["A"] : family === "ipv6" ? ["AAAA"] : ["A", "AAAA"]);
      },
      { family },
    ));
}

test("a host without IPv4 is reached by IPv6, and by IPv4 as soon as it has that", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["fd00::1"], 1);
    const { state } = source.subscribe("orders");
    await clock.pass(0);
    assert.deepEqual(hosts(state.current), ["fd00::1:50051"]);
    resolver.host("orders.test", ["fd00::1", "10.0.0.1"], 1);
    await clock.pass(1000);
    assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
    // The other way round is a change, too, and not an absence.
    resolver.host("orders.test", ["fd00::1"], 1);
    await clock.pass(1000);
    assert.deepEqual(hosts(state.current), ["fd00::1:50051"]);
    assert.equal(staleSince(state.current), undefined);
  }));

for (const family of ["auto", "both"] satisfies DnsFamily[]) {
  test(`a name server that does not know of IPv6 ${family === "auto" ? "harms nobody" : "is told of where it is wanted"}`, () =>
    withScript(
      async ({ clock, resolver, source }) => {
        resolver.host("orders.test", ["10.0.0.1"], 1);
        resolver.fail("AAAA orders.test");
        const { state } = source.subscribe("orders");
        await clock.pass(0);
        assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
        assert.equal(staleSince(state.current) === undefined, family === "auto");
        resolver.answers.set("A orders.test", { kind: "records", records: ["10.0.0.2"], ttl: 1000 });
        await clock.pass(1000);
        assert.deepEqual(hosts(state.current), ["10.0.0.2:50051"]);
      },
      { family },
    ));
}

test("a failure of one family does not move a host over to the other", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["10.0.0.1", "fd00::1"], 1);
    const { state } = source.subscribe("orders");
    await clock.pass(0);
    resolver.fail("A orders.test");
    await clock.pass(3000);
    assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
    assert.equal(staleSince(state.current), clock.wall() - 2000);
  }));

for (const [what, error] of [
  ["a name that is gone", "the name does not exist"],
  ["a name server that fails", "the name server fails (SERVFAIL)"],
] as const) {
  test(`${what} costs nobody an instance, with one line for the beginning and one for the end`, () =>
    withScript(async ({ clock, resolver, source, services }) => {
      resolver.host("orders.test", ["10.0.0.1"], 1);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      const before = endpoints(state.current);
      resolver.host("orders.test", []);
      if (error.includes("fails")) resolver.fail("A orders.test");
      await clock.pass(3_600_000);
      assert.equal(endpoints(state.current), before);
      assert.equal(staleSince(state.current), clock.wall() - 3_600_000 + 1000);
      assert.equal(state.current.error, `cannot look up A orders.test: ${error}`);
      resolver.host("orders.test", ["10.0.0.1"], 1);
      await clock.pass(6000);
      assert.equal(staleSince(state.current), undefined);
      assert.deepEqual(
        services.lines.map(({ msg }) => msg),
        ["no good answer for orders: the last good answer is kept", "dns answers for orders again"],
      );
    }));
}

test("where it is configured so, a name that stays away is believed to be gone in the end", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.host("orders.test", ["10.0.0.1"], 1);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      resolver.host("orders.test", []);
      await clock.pass(60_000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
      await clock.pass(6000);
      assert.deepEqual(hosts(state.current), []);
      assert.equal(staleSince(state.current), undefined);
      // That nobody answers is no absence.
      resolver.host("orders.test", ["10.0.0.2"], 1);
      await clock.pass(6000);
      resolver.fail("A orders.test");
      await clock.pass(600_000);
      assert.deepEqual(hosts(state.current), ["10.0.0.2:50051"]);
    },
    { maxStale: 60_000 },
  ));

test("an address that DNS gives to another name is not taken for the old one, whose list is kept", () =>
  withScript(
    async ({ clock, resolver, source, services }) => {
      resolver.host("orders.test", ["10.0.0.1", "10.0.0.2"], 1);
      resolver.host("billing.test", ["10.0.0.3"], 1);
      const orders = source.subscribe("orders");
      const billing = source.subscribe("billing");
      await clock.pass(0);
      resolver.host("orders.test", []);
      await clock.pass(2000);
      resolver.host("billing.test", ["10.0.0.2"], 1);
      await clock.pass(2000);
      assert.deepEqual(hosts(orders.state.current), ["10.0.0.1:50051"]);
      assert.deepEqual(hosts(billing.state.current), ["10.0.0.2:50051"]);
      await clock.pass(60_000);
      assert.deepEqual(hosts(orders.state.current), ["10.0.0.1:50051"]);
      assert.equal(services.lines.filter((line) => line.successor === "billing").length, 1);
    },
    {
      names: new Map([
        ["orders", { kind: "host", name: "orders.test", port: 50_051 }],
        ["billing", { kind: "host", name: "billing.test", port: 50_051 }],
      ]),
    },
  ));

test("an instance that SRV records name has their port and weight", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("A.test.", 7001, { weight: 5 }), target("b.test", 7002, { weight: 0 }));
      resolver.host("a.test", ["10.0.0.1", "10.0.0.2"]);
      resolver.host("b.test", ["fd00::1"]);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      assert.deepEqual(
        endpoints(state.current).map(({ id, weight }) => [id, weight]),
        [
          ["a.test@10.0.0.1:7001", 5],
          ["a.test@10.0.0.2:7001", 5],
          ["b.test@[fd00::1]:7002", 1],
        ],
      );
    },
    { names },
  ));

test("of several priorities the first is used in which a target has an address", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(
        SRV.name,
        target("none.test", 1, { priority: 1 }),
        target("a.test", 2, { priority: 5 }),
        target("b.test", 3, { priority: 9 }),
      );
      resolver.host("a.test", ["10.0.0.1"], 1);
      resolver.host("b.test", ["10.0.0.2"], 1);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:2"]);
      assert.equal(staleSince(state.current), undefined);
      resolver.host("none.test", ["10.0.0.3"], 1);
      await clock.pass(6000);
      assert.deepEqual(hosts(state.current), ["10.0.0.3:1"]);
    },
    { names },
  ));

test("two targets at one address are one instance, and always the same one", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("b.test", 1), target("a.test", 1));
      resolver.host("a.test", ["10.0.0.1"]);
      resolver.host("b.test", ["10.0.0.1"]);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      const before = endpoints(state.current);
      assert.deepEqual(
        before.map(({ id }) => id),
        ["a.test@10.0.0.1:1"],
      );
      resolver.srv(SRV.name, target("a.test", 1), target("b.test", 1));
      await clock.pass(6000);
      assert.equal(endpoints(state.current), before);
    },
    { names },
  ));

test("a target that leaves the records is gone, one whose addresses are gone is kept", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("a.test", 1), target("b.test", 2));
      resolver.host("a.test", ["10.0.0.1"], 1);
      resolver.host("b.test", ["10.0.0.2"], 1);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      resolver.host("b.test", []);
      await clock.pass(4000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:1", "10.0.0.2:2"]);
      assert.match(state.current.error ?? "", /A b\.test: the name does not exist/);
      resolver.srv(SRV.name, target("a.test", 1));
      await clock.pass(2000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:1"]);
      assert.equal(staleSince(state.current), undefined);
    },
    { names },
  ));

test("records that are gone are kept, and the addresses of their targets are followed meanwhile", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("a.test", 1));
      resolver.host("a.test", ["10.0.0.1"], 1);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      resolver.answers.delete(`SRV ${SRV.name}`);
      await clock.pass(6000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:1"]);
      const since = staleSince(state.current);
      assert.ok(since !== undefined);
      resolver.host("a.test", ["10.0.0.9"], 1);
      await clock.pass(2000);
      assert.deepEqual(hosts(state.current), ["10.0.0.9:1"]);
      assert.equal(staleSince(state.current), since);
    },
    { names },
  ));

test("a service that is said not to be there has no instance, which is an answer", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("a.test", 1));
      resolver.host("a.test", ["10.0.0.1"]);
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      // RFC 2782: a target of "." means that the service is decidedly not available.
      resolver.srv(SRV.name, target(".", 0));
      await clock.pass(6000);
      assert.deepEqual(hosts(state.current), []);
      assert.equal(staleSince(state.current), undefined);
    },
    { names },
  ));

test("records whose targets have no address are no instance, but nothing against an answer from before", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv(SRV.name, target("a.test", 1));
      const { state } = source.subscribe("orders");
      await clock.pass(0);
      assert.deepEqual(hosts(state.current), []);
      resolver.host("a.test", ["10.0.0.1"]);
      await clock.pass(6000);
      resolver.srv(SRV.name, target("b.test", 1));
      await clock.pass(6000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:1"]);
      assert.equal(state.current.error, "no target of SRV of _grpc._tcp.orders.test has an address");
    },
    { names },
  ));

test("a first failure leaves a name waiting, with the reason", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.fail("A orders.test");
    const { state } = source.subscribe("orders");
    await clock.pass(0);
    assert.deepEqual(state.current, {
      kind: "pending",
      error: "cannot look up A orders.test: the name server fails (SERVFAIL)",
    });
  }));

test("after a restart neither a failure nor an absence is the end of what was known", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-dns-"));
  const clock = new FakeClock();
  const services = { ...testServices(clock), random: () => 0 };
  try {
    for (const [life, answer] of ["good", "failed", "none", "failed"].entries()) {
      const cache = new AnswerCache(join(folder, "cache"), services);
      const resolver = new ScriptedResolver(clock);
      if (answer === "good") resolver.host("orders.test", ["10.0.0.1"]);
      if (answer === "failed") resolver.fail("A orders.test");
      const source = new DnsSource(dnsOptions(), { ...services, cache }, resolver.open);
      const { state } = source.subscribe("orders");
      await clock.pass(60_000);
      assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"], `life ${life}`);
      assert.equal(staleSince(state.current) === undefined, answer === "good");
      await source.close();
      await cache.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
