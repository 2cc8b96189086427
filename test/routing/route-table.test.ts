import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { RouteTable, type RouteTableOptions } from "../../src/routing/route-table.ts";

const options: RouteTableOptions = {
  upstreams: [
    { name: "orders", hosts: ["orders.internal", "orders.example.com:8443", "10.0.0.7", "[::1]:9000"] },
    { name: "billing", hosts: ["Invoices.Internal."] },
    { name: "orders.internal.real", hosts: [] },
    { name: "shadow", hosts: ["billing"] },
  ],
  suffixes: ["service.consul", "default.svc.cluster.local", "svc"],
  allow: ["*"],
};

function routes(table: RouteTable, cases: readonly (readonly [authority: string, route: string])[]): void {
  for (const [authority, expected] of cases) {
    const route = table.matchAuthority(authority);
    const said = route.kind === "none" || route.kind === "bad" ? route.kind : `${route.kind} ${route.name}`;
    assert.equal(said, expected, authority);
  }
}

test("an exact host goes before a name, with its port before without", () => {
  routes(new RouteTable(options), [
    ["orders.internal", "upstream orders"],
    ["ORDERS.internal.", "upstream orders"],
    ["orders.internal:1234", "upstream orders"],
    ["orders.example.com:8443", "upstream orders"],
    ["orders.example.com", "none"],
    ["orders.example.com:8444", "none"],
    ["invoices.internal", "upstream billing"],
    ["orders.internal.real", "upstream orders.internal.real"],
    // Somebody has taken the name of another upstream as a host: the contract says that hosts come first.
    ["billing", "upstream shadow"],
    ["billing.service.consul", "upstream billing"],
  ]);
});

test("an IP literal matches as a host alone", () => {
  routes(new RouteTable(options), [
    ["10.0.0.7", "upstream orders"],
    ["10.0.0.7:50051", "upstream orders"],
    ["10.0.0.8", "none"],
    ["[::1]:9000", "upstream orders"],
    ["[::1]:9001", "none"],
    ["[::1]", "none"],
  ]);
});

test("a name is known by itself and with each suffix, and no other", () => {
  routes(new RouteTable(options), [
    ["orders", "upstream orders"],
    ["Orders:50051", "upstream orders"],
    ["orders.service.consul", "upstream orders"],
    ["orders.service.consul.", "upstream orders"],
    ["orders.default.svc.cluster.local:80", "upstream orders"],
    ["orders.svc", "upstream orders"],
    ["orders.other.svc", "none"],
    ["orders.service.consul.example.com", "none"],
    ["xservice.consul", "none"],
    ["service.consul", "none"],
    [".service.consul", "bad"],
  ]);
});

test("of suffixes that end alike each is tried", () => {
  for (const suffixes of [
    ["svc", "default.svc"],
    ["default.svc", "svc"],
  ])
    routes(new RouteTable({ ...options, suffixes }), [
      ["orders.default.svc", "upstream orders"],
      ["orders.svc", "upstream orders"],
      ["payments.default.svc", "lookup payments"],
      ["payments.svc", "lookup payments"],
      ["payments.other.svc", "none"],
    ]);
});

test("what nobody declared may be looked up where it is one label that is allowed", () => {
  routes(new RouteTable(options), [
    ["payments", "lookup payments"],
    ["PAYMENTS.service.consul:80", "lookup payments"],
    ["pay-ments2", "lookup pay-ments2"],
    ["a.b", "none"],
    ["a.b.service.consul", "none"],
    ["under_score", "none"],
    ["x".repeat(63), `lookup ${"x".repeat(63)}`],
    ["x".repeat(64), "none"],
  ]);
  routes(new RouteTable({ ...options, allow: ["pay*", "*-api", "a?c"] }), [
    ["payments", "lookup payments"],
    ["pay", "lookup pay"],
    ["users-api", "lookup users-api"],
    ["repay", "none"],
    ["api", "none"],
    ["abc", "none"],
  ]);
  routes(new RouteTable({ ...options, allow: [] }), [
    ["payments", "none"],
    ["orders", "upstream orders"],
  ]);
});

test("a head is matched by its :authority, or by host where it has none", () => {
  const headers = new HeaderTable();
  const table = new RouteTable(options);
  const match = (...fields: [string, string][]) => table.match(headers.head([[":method", "POST"], ...fields]));
  assert.deepEqual(match([":authority", "orders"]), { kind: "upstream", name: "orders" });
  assert.deepEqual(match(["host", "orders"]), { kind: "upstream", name: "orders" });
  assert.deepEqual(match([":authority", "orders"], ["host", "billing"]), { kind: "upstream", name: "orders" });
  assert.equal(match().kind, "bad");
  assert.equal(match([":authority", ""]).kind, "bad");
});

test("what is remembered is right, for lists that come again, that have their authority in a slot, and that are too many", () => {
  const headers = new HeaderTable();
  const table = new RouteTable(options);
  for (let round = 0; round < 3; round++) {
    for (const [authority, name] of [
      ["orders", "orders"],
      ["billing.svc", "billing"],
    ] as const) {
      const head = headers.head([
        [":authority", authority],
        ["grpc-timeout", `${round}S`],
      ]);
      assert.deepEqual(table.match(head), { kind: "upstream", name });
      assert.deepEqual(table.match(head), { kind: "upstream", name });
      // Never indexed, so that the value is no part of the list.
      const hidden = headers.head([[":authority", authority, true]]);
      assert.deepEqual(table.match(hidden), { kind: "upstream", name });
    }
  }
  let most = 0;
  for (let at = 0; at < 10_000; at++) {
    const authority = at % 2 === 0 ? "orders" : `made-up-${at}`;
    const route = table.match(
      headers.head([
        [":authority", authority],
        [`x-${at}`, "1"],
      ]),
    );
    assert.deepEqual(route, at % 2 === 0 ? { kind: "upstream", name: "orders" } : { kind: "lookup", name: authority });
    const remembered: unknown = Reflect.get(table, "known");
    assert.ok(remembered instanceof Map);
    most = Math.max(most, remembered.size);
  }
  assert.ok(most > 100 && most <= 2048, `${most} lists are remembered`);
});
