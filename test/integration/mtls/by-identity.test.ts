import assert from "node:assert/strict";
import { test } from "node:test";
import type { Metadata } from "@grpc/grpc-js";
import { TestCa } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { call, echo, filesOf, folder, type Made } from "./mesh.ts";

/** What callers are told apart by is who they are, by their certificates. */
interface World {
  /** The applications of `up`, by what they were told. */
  readonly seen: readonly (readonly Metadata[])[];
  readonly inbounds: readonly Sidecar[];
  /** The sidecar of another instance of a service. */
  readonly caller: (service: string) => Promise<Sidecar>;
}

async function world(
  scope: Scope,
  count: number,
  { inbound = {}, upstream = {}, mode = "strict" }: { inbound?: object; upstream?: object; mode?: string } = {},
): Promise<World> {
  const ca = await TestCa.make();
  const path = await folder(scope);
  const discovery = { directory: { path } };
  const mtlsOf = async (service: string) => ({
    mtls: { mode, source: { files: { ...(await filesOf(scope, ca, service)).files } } },
  });
  const mtls = await mtlsOf("up");
  const seen: (readonly Metadata[])[] = [];
  const inbounds: Sidecar[] = [];
  for (let at = 0; at < count; at++) {
    const application = await echo(scope);
    seen.push(application.seen);
    const service = { name: "up", address: application.address, id: `up-${at}` };
    inbounds.push(await scope.sidecar({ discovery, service, ...mtls, ...inbound }));
  }
  return {
    seen,
    inbounds,
    caller: async (service) => {
      const identity = { name: service };
      const sidecar = await scope.sidecar({
        discovery,
        identity,
        upstreams: { up: upstream },
        ...(await mtlsOf(service)),
      });
      await eventually(
        () => [...sidecar.runtime.upstreams.clusters()].some(({ name, size }) => name === "up" && size === count),
        () => `${service} knows ${count} instances of up`,
      );
      return sidecar;
    },
  };
}

for (const balancer of ["ringHash", "maglev"]) {
  test(`${balancer} by identity over mTLS: all calls of a service go to one instance, from whichever of its own they come`, async () => {
    await inScope(async (scope) => {
      const upstream = { balancer, hash: { by: "identity" } };
      const { seen, caller } = await world(scope, 3, { upstream });
      const taken = new Set<number>();
      // Addresses are others in each run: so many services have all the same instance once in 2,000 runs.
      for (const service of ["shop", "billing", "search", "mail", "stock", "tax", "media", "quotes"]) {
        const before = seen.map(({ length }) => length);
        for (let instance = 0; instance < 2; instance++) {
          const sidecar = await caller(service);
          for (let at = 0; at < 5; at++) assert.equal((await call(sidecar.outbound)).error, undefined);
        }
        const got = seen.map(({ length }, at) => length - (before[at] ?? 0));
        assert.deepEqual(
          got.toSorted((a, b) => a - b),
          [0, 0, 10],
          `${service} has one instance for itself`,
        );
        taken.add(got.indexOf(10));
      }
      assert.ok(taken.size > 1, "services have different ones");
    });
  });
}

test("a rate limit by identity over mTLS: each service has its own, whichever of its instances calls, and strangers share one", async () => {
  await inScope(async (scope) => {
    const rateLimits = [{ name: "callers", key: ["identity"], limit: "3/d" }];
    const { inbounds, caller, seen } = await world(scope, 1, { inbound: { rateLimits }, mode: "permissive" });
    const [inbound] = inbounds;
    assert.ok(inbound);
    const codes = (made: readonly Made[]): number[] => made.map(({ error }) => error?.code ?? 0);
    const calls = async (address: string, count: number): Promise<Made[]> => {
      const made: Made[] = [];
      for (let at = 0; at < count; at++) made.push(await call(address));
      return made;
    };
    const shop = await calls((await caller("shop")).outbound, 2);
    shop.push(...(await calls((await caller("shop")).outbound, 2)));
    assert.deepEqual(codes(shop), [0, 0, 0, 8]);
    assert.deepEqual(codes(await calls((await caller("billing")).outbound, 3)), [0, 0, 0]);
    // What a caller says of itself is no identity.
    const strangers = [
      ...(await calls(inbound.inbound, 3)),
      await call(inbound.inbound, { "x-forwarded-client-cert": "URI=x" }),
    ];
    assert.deepEqual(codes(strangers), [0, 0, 0, 8]);
    assert.equal(seen[0]?.length, 9);

    const told = (made: Made | undefined) => ({
      message: made?.error?.details,
      limit: made?.metadata?.get("x-ratelimit-limit"),
      pushback: made?.metadata?.get("grpc-retry-pushback-ms").length,
    });
    const { message, ...values } = told(shop.at(-1));
    assert.match(message ?? "", /^the rate limit callers of 3\/d/);
    assert.deepEqual(values, { limit: ["3"], pushback: 1 }, "who is known is told the limit");
    assert.deepEqual(told(strangers.at(-1)), { message: "too many calls have come", limit: [], pushback: 1 });
    const labels = { limit: "callers", direction: "inbound", mode: "enforce" };
    assert.equal(sampleValue(await inbound.metrics(), "outrigger_rate_limited_total", labels), 2);
  });
});
