import assert from "node:assert/strict";
import { test } from "node:test";
import { buildPeers } from "../peers/build.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { skipUnless } from "../support/real-parts.ts";
import { inTrailers, ScriptedServer } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

// The other end is grpc-go with Envoy's own messages (test/peers/ratepeer), which checks each message by the rules of its .proto file.

const go = skipUnless("go");

interface World {
  readonly peer: RunningProcess;
  /** Makes a call of a tenant. */
  readonly call: (tenant: string) => Promise<RawAnswer>;
}

async function world(scope: Scope, limit: (address: string) => object): Promise<World> {
  const { ratepeer } = await buildPeers();
  const peer = await startProcess(ratepeer, []);
  scope.onEnd(async () => void (await peer.stop()));
  const [, address = ""] = await peer.line(/^listening (\S+)$/, 20_000);
  const up = await ScriptedServer.start(scope, inTrailers(0));
  const sidecar = await scope.sidecar({
    upstreams: { up: { discovery: "static", endpoints: [up.address] } },
    rateLimits: [{ name: "tenants", direction: "outbound", key: ["metadata.x-tenant", "method"], ...limit(address) }],
  });
  const caller: RawPeer = await connectPeer(scope, sidecar.outbound);
  const call = (tenant: string) => caller.answer(caller.request(callHead("up", ["x-tenant", tenant]), true), 20_000);
  return { peer, call };
}

const statusOf = ({ head, trailers }: RawAnswer) => fieldOf(trailers ?? head, "grpc-status");

/** Messages that came to it, as protojson has them. */
function messagesAt(peer: RunningProcess): unknown[] {
  const lines = peer.stdout().split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line): unknown => JSON.parse(line));
}

test("a rate limit service on Envoy's own messages is asked and obeyed", go, async () => {
  await inScope(async (scope) => {
    const { peer, call } = await world(scope, (address) => ({
      service: { address, domain: "mesh" },
      timeout: "10s",
      headers: "all",
      onStoreFailure: "deny",
    }));
    for (let at = 0; at < 3; at++) assert.equal(statusOf(await call("a")), "0");
    const refused = await call("a");
    const fields = ["grpc-status", "outrigger-reason", "grpc-retry-pushback-ms", "x-ratelimit-limit"];
    assert.deepEqual(
      [...fields, "x-ratelimit-remaining", "x-ratelimit-reset"].map((name) => fieldOf(refused.head, name)),
      ["8", "RATE_LIMIT", "2500", "3", "0", "3"],
    );
    assert.equal(statusOf(await call("b")), "0", "another tenant has its own");
    const entries = [
      { key: "x-tenant", value: "a" },
      { key: "method", value: "test.v1.Test/Call" },
    ];
    assert.deepEqual(messagesAt(peer)[0], { domain: "mesh", descriptors: [{ entries }], hitsAddend: 1 });
  });
});

test("a quota service on Envoy's own messages reads the reports, and what it assigns holds", go, async () => {
  await inScope(async (scope) => {
    const { peer, call } = await world(scope, (address) => ({
      quotaService: { address, domain: "mesh", report: "100ms" },
    }));
    for (const tenant of ["free", "none", "two-a-day", "four-tokens"]) assert.equal(statusOf(await call(tenant)), "0");
    await eventually(
      async () => statusOf(await call("none")) === "8",
      () => "an assignment that lets none pass",
      20_000,
    );
    // The others were reported before, or with it, and assigned in the same order.
    for (const [tenant, passes] of [
      ["two-a-day", 2],
      ["four-tokens", 4],
    ] as const) {
      let passed = 0;
      await eventually(
        async () => {
          const status = statusOf(await call(tenant));
          if (status === "0") passed++;
          return status === "8";
        },
        () => `${tenant} is used up`,
        20_000,
      );
      assert.ok(passed >= passes, `${passed} calls of ${tenant}`);
      assert.equal(statusOf(await call(tenant)), "8");
    }
    assert.equal(statusOf(await call("free")), "0");
    const [first] = messagesAt(peer);
    assert.match(JSON.stringify(first), /"domain":"mesh"/);
    const usage =
      /"bucketId":\{"bucket":\{"method":"test.v1.Test\/Call","name":"tenants","x-tenant":"free"\}\},"timeElapsed":"[\d.]+s","numRequestsAllowed":"1"/;
    assert.match(
      messagesAt(peer)
        .map((message) => JSON.stringify(message))
        .join("\n"),
      usage,
    );
  });
});
