import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { FakeConsul } from "../discovery/consul/fake-consul.ts";
import { freePort } from "../support/ports.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";
import { offered } from "./offered.ts";

async function server(scope: Scope): Promise<RawServer> {
  const made = await RawServer.listen();
  scope.onEnd(() => made.close());
  return made;
}

/** The discovery of an agent that is not there: whatever is asked of it is waited for. */
async function away(): Promise<{ readonly consul: { readonly address: string } }> {
  return { consul: { address: `http://127.0.0.1:${await freePort()}` } };
}

/** The address of a server that takes connections and says nothing: whatever goes there waits for a connection. */
async function mute(scope: Scope): Promise<string> {
  const listening = createServer((socket) => void socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(listening, "listening");
  scope.onEnd(() => void listening.close());
  const { port }: AddressInfo = Object(listening.address());
  return `127.0.0.1:${port}`;
}

const to = (...endpoints: readonly string[]) => ({ discovery: "static", endpoints });

/** A call that waits in the sidecar, and its caller. */
async function waitingCall(scope: Scope, sidecar: Sidecar, authority: string, by = sidecar.outbound) {
  const caller = await connectPeer(scope, by);
  const stream = caller.request(callHead(authority), true);
  await eventually(
    () => sidecar.shared.room.calls === 1,
    () => "a call that waits",
  );
  return { caller, stream };
}

/** Goes over to another configuration, whole. */
async function goOver(sidecar: Sidecar, config: SidecarConfig): Promise<void> {
  assert.equal((await sidecar.runtime.apply(offered(sidecar, config))).kind, "applied");
}

/** Answers the next call that comes to a server. */
async function answer(at: RawServer): Promise<void> {
  const peer = at.peers[0] ?? (await at.peer());
  const { stream } = await peer.nextRequest();
  const head = [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "0"],
  ] as const;
  peer.headers(stream, head, true);
}

async function outcome({ caller, stream }: { readonly caller: RawPeer; readonly stream: number }) {
  const { head } = await caller.answer(stream);
  return [fieldOf(head, "grpc-status"), fieldOf(head, "outrigger-reason")];
}

const OK = ["0", undefined];

test("a call waits for a lookup, a reload declares its name: it goes where that says", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const discovery = await away();
    const sidecar = await scope.sidecar({ discovery });
    const call = await waitingCall(scope, sidecar, "orders");
    await goOver(sidecar, { discovery, upstreams: { orders: to(up.address) } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("a call waits for a lookup, a reload makes its authority a further name of an upstream: it goes there", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const discovery = await away();
    const sidecar = await scope.sidecar({ discovery });
    const call = await waitingCall(scope, sidecar, "orders");
    // The lookups end with their source, the upstream stands in the file.
    await goOver(sidecar, { upstreams: { shop: { ...to(up.address), hosts: ["orders"] } } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("a call waits for a lookup, a reload ends lookups: it has no route, as any call from now on", async () => {
  await inScope(async (scope) => {
    const sidecar = await scope.sidecar({ discovery: await away() });
    const call = await waitingCall(scope, sidecar, "orders");
    await goOver(sidecar, { log: { level: "debug", access: "all" } });
    assert.deepEqual(await outcome(call), ["12", "NO_ROUTE"]);
  });
});

test("a call waits for a lookup over reloads of other things, and for the agent that a reload names", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const consul = await new FakeConsul().start();
    scope.onEnd(() => consul.stop());
    const [host = "", port] = up.address.split(":");
    consul.set("orders", [{ host, port: Number(port) }]);
    const discovery = await away();
    const sidecar = await scope.sidecar({ discovery });
    const call = await waitingCall(scope, sidecar, "orders");
    for (const notice of ["1s", "2s", "3s"]) await goOver(sidecar, { discovery, drain: { notice } });
    await goOver(sidecar, { discovery: { consul: { address: consul.address } } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("a call waits for its upstream's first answer, a reload gives that upstream another name: it goes there", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const discovery = await away();
    const names = { onDemand: { allow: ["nobody"] } };
    const hosts = ["shop.internal"];
    const sidecar = await scope.sidecar({ discovery, names, upstreams: { old: { hosts } } });
    const call = await waitingCall(scope, sidecar, "shop.internal");
    await goOver(sidecar, { discovery, names, upstreams: { shop: { ...to(up.address), hosts } } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
    const { upstream, endpoint, attempts } = await sidecar.call();
    assert.deepEqual([upstream, endpoint, attempts], ["old", up.address, 1], "counted where it began");
  });
});

test("a call waits for a connection, a reload replaces its upstream: it goes to the new one", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const hosts = ["shop.internal"];
    const sidecar = await scope.sidecar({ upstreams: { old: { ...to(await mute(scope)), hosts } } });
    const call = await waitingCall(scope, sidecar, "shop.internal");
    await goOver(sidecar, { upstreams: { shop: { ...to(up.address), hosts } } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("a call waits for a connection, a reload gives its upstream other endpoints: it goes to them", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const sidecar = await scope.sidecar({ upstreams: { shop: to(await mute(scope)) } });
    const call = await waitingCall(scope, sidecar, "shop");
    await goOver(sidecar, { upstreams: { shop: to(up.address) } });
    await answer(up);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("a call waits for a connection, a reload takes its upstream away: it has no route", async () => {
  await inScope(async (scope) => {
    const sidecar = await scope.sidecar({ upstreams: { shop: to(await mute(scope)) } });
    const call = await waitingCall(scope, sidecar, "shop");
    await goOver(sidecar, {});
    assert.deepEqual(await outcome(call), ["12", "NO_ROUTE"]);
  });
});

test("a call waits for the application, a reload says where that is now: it goes there", async () => {
  await inScope(async (scope) => {
    const application = await server(scope);
    const sidecar = await scope.sidecar({ service: { name: "shop", address: await mute(scope) } });
    const call = await waitingCall(scope, sidecar, "shop", sidecar.inbound);
    await goOver(sidecar, { service: { name: "shop", address: application.address } });
    await answer(application);
    assert.deepEqual(await outcome(call), OK);
  });
});

test("an upstream that a reload no longer declares, and that may be looked up, keeps its connection and its counts", async () => {
  await inScope(async (scope) => {
    const up = await server(scope);
    const consul = await new FakeConsul().start();
    scope.onEnd(() => consul.stop());
    const [host = "", port] = up.address.split(":");
    consul.set("orders", [{ host, port: Number(port) }]);
    const discovery = { consul: { address: consul.address } };
    const sidecar = await scope.sidecar({ discovery, upstreams: { orders: { balancer: "roundRobin" } } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const call = async (): Promise<void> => {
      const stream = caller.request(callHead("orders"), true);
      await answer(up);
      assert.deepEqual(await outcome({ caller, stream }), OK);
    };
    await call();
    await goOver(sidecar, { discovery });
    await call();
    await goOver(sidecar, { discovery, upstreams: { orders: { timeout: "5s" } } });
    await call();
    assert.equal(up.peers.length, 1, "one connection");
    assert.equal(await sidecar.handled({ upstream: "orders", grpc_status: "OK" }), 3);
  });
});
