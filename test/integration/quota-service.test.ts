import assert from "node:assert/strict";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import { sampleValue } from "../support/prometheus.ts";
import { QuotaServer } from "../support/quota-service.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { inTrailers, ScriptedServer } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

interface World {
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  readonly quotas: QuotaServer;
  readonly config: (more?: object) => Readonly<Record<string, object>>;
}

/** A sidecar whose outbound calls have a quota by tenant, reported every 100 ms, and the service that assigns it. */
async function world(scope: Scope, quotaService: object = {}, more: object = {}): Promise<World> {
  const quotas = new QuotaServer();
  await quotas.start();
  scope.onEnd(async () => quotas.stop());
  const up = await ScriptedServer.start(scope, inTrailers(0));
  const config = (other: object = {}) => ({
    upstreams: { up: { discovery: "static", endpoints: [up.address] } },
    rateLimits: [
      {
        name: "tenants",
        direction: "outbound",
        key: ["metadata.x-tenant", "method"],
        quotaService: { address: quotas.address, domain: "mesh", report: "100ms", ...quotaService },
        ...more,
        ...other,
      },
    ],
  });
  const sidecar = await scope.sidecar(config());
  return { sidecar, caller: await connectPeer(scope, sidecar.outbound), quotas, config };
}

const bucketOf = (tenant: string) => ({ name: "tenants", "x-tenant": tenant, method: "test.v1.Test/Call" });

/** The statuses of so many calls. */
async function calls(caller: RawPeer, tenant: string, count: number): Promise<string> {
  const statuses: string[] = [];
  for (let at = 0; at < count; at++) {
    const answer = await caller.answer(caller.request(callHead("up", ["x-tenant", tenant]), true));
    statuses.push(fieldOf(answer.trailers ?? answer.head, "grpc-status") ?? "none");
  }
  return statuses.join(" ");
}

/** Waits until calls of a tenant have this status. */
async function comesTo(caller: RawPeer, tenant: string, status: string): Promise<void> {
  await eventually(
    async () => (await calls(caller, tenant, 1)) === status,
    () => `calls of ${tenant} end with ${status}`,
  );
}

test("usage is reported by bucket, and what the service assigns holds from then on", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller, quotas } = await world(scope);
    assert.equal(await calls(caller, "a", 3), "0 0 0", "no call waits for an assignment");
    await eventually(
      () => quotas.sumOf(bucketOf("a")).allowed === 3,
      () => "all of them are reported",
    );
    assert.equal(quotas.reports[0]?.domain, "mesh");
    assert.ok(
      quotas.reports.slice(1).every(({ domain }) => domain === ""),
      "it is said once a stream",
    );
    quotas.assign(bucketOf("a"), "deny");
    await comesTo(caller, "a", "8");
    assert.equal(await calls(caller, "b", 1), "0", "another key is another bucket");
    const refused = await caller.answer(caller.request(callHead("up", ["x-tenant", "a"]), true));
    assert.equal(fieldOf(refused.head, "outrigger-reason"), "RATE_LIMIT");
    assert.ok(Number(fieldOf(refused.head, "grpc-retry-pushback-ms")) >= 1);
    assert.match(fieldOf(refused.head, "grpc-message") ?? "", /tenants is used up, as its service has assigned it/);
    await eventually(
      () => quotas.sumOf(bucketOf("a")).denied >= 2,
      () => "refusals are reported, too",
    );
    quotas.assign(bucketOf("a"), { requests: 3, unit: 4 });
    await comesTo(caller, "a", "0");
    assert.equal(await calls(caller, "a", 4), "0 0 8 8");
    quotas.assign(bucketOf("b"), { tokens: 2, perFill: 1, fillMs: 2000 });
    await eventually(
      async () => {
        const labels = { limit: "tenants", direction: "outbound", state: "assigned" };
        return sampleValue(await sidecar.metrics(), "outrigger_rate_limit_quota_buckets", labels) === 2;
      },
      () => "two assignments",
    );
    assert.equal((await calls(caller, "b", 3)).slice(0, 3), "0 0");
    quotas.abandon(bucketOf("a"));
    await comesTo(caller, "a", "0");
    const [limit] = sidecar.runtime.services.rateLimits.all();
    assert.equal(limit?.options.counted.by, "quota");
    await sidecar.rest();
  });
});

test("an assignment expires, and what is to be done then and before the first one is the configuration's to say", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller, quotas, config } = await world(
      scope,
      { unassigned: "limit", expired: "deny", expiredFor: "10m" },
      { limit: "2/h" },
    );
    assert.equal(await calls(caller, "a", 3), "0 0 8", "the limit of the file until there is an assignment");
    quotas.assign(bucketOf("a"), "allow", 30);
    await comesTo(caller, "a", "0");
    sidecar.clock.jump(31_000);
    assert.equal(await calls(caller, "a", 1), "8");
    // Another word in the file is obeyed at once, and the buckets stay what they are.
    const quotaService = {
      address: quotas.address,
      domain: "mesh",
      report: "100ms",
      expired: "allow",
      expiredFor: "10m",
    };
    const applied = await sidecar.runtime.apply(offered(sidecar, config({ quotaService, limit: undefined })));
    assert.equal(applied.kind, "applied");
    assert.equal(await calls(caller, "a", 1), "0");
    const labels = { limit: "tenants", direction: "outbound", state: "expired" };
    assert.equal(sampleValue(await sidecar.metrics(), "outrigger_rate_limit_quota_buckets", labels), 1);
    assert.equal(quotas.opened, 1);
  });
});

test("a service that goes, ends the stream or talks nonsense costs no call, and is told of every bucket when it is back", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller, quotas } = await world(scope);
    const up = async () => sampleValue(await sidecar.metrics(), "outrigger_rate_limit_store_up", { limit: "tenants" });
    assert.equal(await calls(caller, "a", 1), "0");
    await eventually(
      () => quotas.reports.length > 0,
      () => "a report",
    );
    quotas.assign(bucketOf("a"), "deny");
    await comesTo(caller, "a", "8");
    for (const [what, opened] of [
      ["end", 2],
      ["talkNonsense", 3],
    ] as const) {
      quotas[what]();
      await eventually(
        () => quotas.opened === opened,
        () => `stream ${opened}`,
      );
      await eventually(
        () => quotas.reports.some(({ stream, domain }) => stream === opened - 1 && domain === "mesh"),
        () => "the buckets are told of on the new stream, with the domain",
      );
      assert.equal(await calls(caller, "a", 2), "8 8", "what was assigned still holds");
    }
    const { address } = quotas;
    quotas.stop();
    await eventually(
      async () => (await up()) === 0,
      () => "the service is down",
    );
    assert.equal(await calls(caller, "a", 1), "8");
    assert.equal(await calls(caller, "c", 2), "0 0", "a new key is unassigned");
    const before = quotas.opened;
    await quotas.start(Number(address.split(":")[1]));
    await eventually(
      () => quotas.opened > before && quotas.sumOf(bucketOf("c")).allowed === 2,
      () => "what was used meanwhile is reported",
      30_000,
    );
    quotas.assign(bucketOf("a"), "allow");
    await comesTo(caller, "a", "0");
    assert.equal(await up(), 1);
  });
});

test("in shadow mode a quota refuses nothing and counts what it would have", async () => {
  await inScope(async (scope) => {
    const { sidecar, caller } = await world(scope, { unassigned: "deny" }, { mode: "shadow" });
    assert.equal(await calls(caller, "a", 2), "0 0");
    const labels = { limit: "tenants", mode: "shadow" };
    assert.equal(sampleValue(await sidecar.metrics(), "outrigger_rate_limited_total", labels), 2);
  });
});
