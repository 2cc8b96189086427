import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EngineServer } from "../support/engine-peer.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

/** An application that answers every call with its name. */
async function application(scope: Scope, name: string): Promise<EngineServer> {
  const server = await EngineServer.start(() => [...answerHead, ["x-application", name], ["grpc-status", "0"]]);
  scope.onEnd(() => server.stop());
  return server;
}

/** What becomes of a call: the application that answered it, or the reason. */
async function ask(caller: RawPeer, authority: string | undefined): Promise<string> {
  const head = callHead(authority ?? "").filter(
    (field: PlainField) => authority !== undefined || field[0] !== ":authority",
  );
  const answer = await caller.answer(caller.request(head, true));
  return fieldOf(answer.head, "x-application") ?? fieldOf(answer.head, "outrigger-reason") ?? "?";
}

async function folder(scope: Scope): Promise<{ path: string }> {
  const path = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  scope.onEnd(() => rm(path, { recursive: true, force: true }));
  return { path };
}

test("a call finds its upstream by name, suffix, host and port, and by nothing else", async () => {
  await inScope(async (scope) => {
    const orders = await application(scope, "orders");
    const billing = await application(scope, "billing");
    const sidecar = await scope.sidecar({
      names: { suffixes: ["service.consul", "mesh"] },
      upstreams: {
        orders: {
          discovery: "static",
          endpoints: [orders.address],
          hosts: ["orders.internal", "shop.example.com:8443"],
        },
        billing: { discovery: "static", endpoints: [billing.address], hosts: ["10.0.0.7"] },
      },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const cases: [authority: string | undefined, outcome: string][] = [
      ["orders", "orders"],
      ["ORDERS", "orders"],
      ["orders.", "orders"],
      ["orders:50051", "orders"],
      ["orders.service.consul", "orders"],
      ["orders.mesh:1", "orders"],
      ["orders.internal", "orders"],
      ["orders.internal:80", "orders"],
      ["shop.example.com:8443", "orders"],
      ["shop.example.com:8444", "NO_ROUTE"],
      ["shop.example.com", "NO_ROUTE"],
      ["billing", "billing"],
      ["10.0.0.7:1234", "billing"],
      ["10.0.0.8", "NO_ROUTE"],
      ["[::1]:80", "NO_ROUTE"],
      // Without a source that could be asked nothing is looked up.
      ["payments", "NO_ROUTE"],
      ["me@orders", "BAD_AUTHORITY"],
      ["orders:port", "BAD_AUTHORITY"],
      ["", "BAD_AUTHORITY"],
      [undefined, "BAD_AUTHORITY"],
    ];
    for (const [authority, outcome] of cases) assert.equal(await ask(caller, authority), outcome, String(authority));
  });
});

test("a listener of an upstream's own is for that upstream, whatever the authority says", async () => {
  await inScope(async (scope) => {
    const orders = await application(scope, "orders");
    const billing = await application(scope, "billing");
    const sidecar = await scope.sidecar({
      upstreams: {
        orders: { discovery: "static", endpoints: [orders.address], listen: "127.0.0.1:0" },
        billing: { discovery: "static", endpoints: [billing.address] },
      },
    });
    const caller = await connectPeer(scope, sidecar.listen("orders"));
    for (const authority of ["orders", "billing", "anything.example.com", "10.0.0.1", "me@billing", "", undefined])
      assert.equal(await ask(caller, authority), "orders", String(authority));
    assert.equal(await sidecar.handled({ direction: "outbound", upstream: "orders", grpc_status: "OK" }), 7);
  });
});

test("inbound goes to the application beside it, whatever the authority says", async () => {
  await inScope(async (scope) => {
    const orders = await application(scope, "orders");
    const sidecar = await scope.sidecar({
      service: { name: "orders", address: orders.address },
      upstreams: { billing: { discovery: "static", endpoints: ["127.0.0.1:1"] } },
    });
    const caller = await connectPeer(scope, sidecar.inbound);
    for (const authority of ["orders", "billing", "169.254.169.254", "me@x", "", undefined])
      assert.equal(await ask(caller, authority), "orders", String(authority));
  });
});

test("a name that nobody declared is looked up, and forgotten with its watch and its series when nobody uses it", async () => {
  await inScope(async (scope) => {
    const directory = await folder(scope);
    const orders = await application(scope, "orders");
    const publisher = await scope.sidecar({
      service: { name: "orders", address: orders.address },
      discovery: { directory },
    });
    const sidecar = await scope.sidecar({
      discovery: { directory },
      names: { onDemand: { allow: ["ord*", "none*"], max: 2, idle: "1m", negative: "5s" } },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    await eventually(
      async () => (await ask(caller, "orders")) === "orders",
      () => "the published service",
    );
    assert.equal(await ask(caller, "orders.service.consul:1"), "orders");
    assert.equal(await ask(caller, "payments"), "NO_ROUTE", "not allowed");
    assert.equal(await ask(caller, "none1"), "NO_ENDPOINTS");
    assert.equal(await ask(caller, "none2"), "LOOKUP_LIMIT");
    // Both live in the same time: what a sidecar has published is stale when it is not published anew.
    const pass = (seconds: number): void => {
      for (let second = 0; second < seconds; second++) for (const { clock } of [publisher, sidecar]) clock.jump(1000);
    };
    const names = () => [...sidecar.runtime.upstreams.clusters()].map(({ name }) => name);
    assert.deepEqual(names(), ["orders"]);
    assert.ok((await sidecar.handled({ direction: "outbound", upstream: "orders", grpc_status: "OK" })) >= 2);

    // The name without an instance makes room after `negative`, …
    pass(7);
    assert.equal(await ask(caller, "none2"), "NO_ENDPOINTS");
    // … and the one that is not used after `idle`.
    pass(62);
    assert.deepEqual(names(), []);
    assert.equal(await sidecar.handled({ direction: "outbound", upstream: "orders", grpc_status: "OK" }), 0);
    await eventually(
      async () => (await ask(caller, "orders")) === "orders",
      () => "it is looked up anew",
    );
  });
});
