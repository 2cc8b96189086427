import assert from "node:assert/strict";
import { test } from "node:test";
import { RuntimeView } from "../../src/control/runtime-view.ts";
import { RateLimit } from "../../src/limits/rate-limit.ts";
import { offered } from "../runtime/offered.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

/** Longer than the test takes. */
const LONG = "10m";

interface World {
  readonly servers: Readonly<Record<"good" | "bad" | "copy", ScriptedServer>>;
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
}

type Upstreams = Readonly<Record<"up" | "broken" | "copy", Readonly<Record<string, object | string | number>>>>;
interface Whole extends SidecarConfig {
  readonly upstreams: Upstreams;
  readonly rateLimits: readonly Readonly<Record<string, unknown>>[];
  readonly routes: readonly object[];
}

function configOf({ good, bad, copy }: World["servers"]): Whole {
  const of = (...servers: ScriptedServer[]) => ({
    discovery: "static",
    endpoints: servers.map(({ address }) => address),
  });
  return {
    upstreams: {
      up: {
        ...of(good, bad),
        balancer: "roundRobin",
        retry: { attempts: 2, idempotentMethods: ["*"], backoff: { base: "1ms", max: "1ms" } },
        outlierDetection: { consecutiveFailures: 1, baseEjection: LONG, maxEjection: LONG },
        limits: { maxConcurrent: 50 },
        adaptiveConcurrency: { initial: 33 },
        admissionControl: { window: LONG },
      },
      broken: {
        ...of(bad),
        circuitBreaker: { minimumRequests: 3, openFor: LONG },
        outlierDetection: { mode: "disabled" },
      },
      copy: of(copy),
    },
    routes: [{ name: "copied", upstream: "up", mirror: { to: "copy" } }],
    rateLimits: [
      { name: "daily", direction: "outbound", key: ["upstream"], limit: "1/d", burst: 100 },
      { name: "few", direction: "outbound", match: { upstream: "broken" }, limit: "1/d", burst: 1, mode: "shadow" },
    ],
  };
}

/** All that calls have brought about: an instance out, a breaker open, limits used and learned, and a call under way. */
async function world(scope: Scope): Promise<World> {
  const held: Act = (peer, stream) => {
    peer.headers(stream, answerHead);
    peer.data(stream, message("the first of several"));
  };
  const servers = {
    good: await ScriptedServer.start(scope, ...Array.from({ length: 6 }, () => inTrailers(0)), held, inTrailers(0)),
    bad: await ScriptedServer.start(scope, trailersOnly(14)),
    copy: await ScriptedServer.start(scope, inTrailers(0)),
  };
  const sidecar = await scope.sidecar(configOf(servers));
  const caller = await connectPeer(scope, sidecar.outbound);
  for (let at = 0; at < 6; at++) await statusOf(caller, "up");
  for (let at = 0; at < 4; at++) await statusOf(caller, "broken");
  return { servers, sidecar, caller };
}

async function statusOf(caller: RawPeer, upstream: string): Promise<string | undefined> {
  const { head, trailers } = await caller.answer(caller.request(callHead(upstream), true));
  return fieldOf(trailers ?? head, "grpc-status");
}

function answerOf({ runtime }: Sidecar): ReturnType<RuntimeView["clusters"]> {
  return new RuntimeView(runtime, { drain: () => {}, quit: () => {} }, "test").clusters();
}

/** What a reload of something else must not touch, of all that there was at the beginning. */
function stateOf({ servers, sidecar }: World): object {
  const { runtime, clock } = sidecar;
  const { clusters, policies, concurrency, mirrors } = answerOf(sidecar);
  const limits = [...runtime.services.rateLimits.all()].filter(({ options }) => options.name !== "more");
  return {
    endpoints: clusters
      .filter(({ name }) => name !== "other")
      .flatMap(({ name, endpoints }) =>
        endpoints.map(({ address, state, out }) => [name, address, state, out?.since, out?.times]),
      ),
    connections: Object.values(servers).map(({ accepted }) => accepted),
    breakers: policies.flatMap(({ upstream, circuitBreakers }) =>
      circuitBreakers.map(({ state, opened, refused }) => [upstream, state, opened, refused]),
    ),
    retries: [...runtime.upstreams.policies.all()]
      .filter(({ upstream }) => upstream !== "other")
      .map(({ upstream, retries }) => [upstream, structuredClone(retries.counts)]),
    admission: policies.map(({ admissionControl: state }) => [state?.requests, state?.accepted, state?.refused]),
    underWay: policies.flatMap(({ limits }) => limits.map(({ name, current }) => [name, current])),
    learned: concurrency.map(({ upstream, limit, inFlight }) => [upstream, limit, inFlight]),
    mirrored: mirrors.map(({ calls }) => ({ ...calls })),
    rates: limits.map((limit) => {
      assert.ok(limit instanceof RateLimit);
      return [
        limit.refused,
        ...[...limit.table.values()].map((allowance) => Math.round(allowance.used(clock.now()) ?? 0)),
      ];
    }),
  };
}

type Edit = (config: Whole) => Whole;
const inUpstream =
  (name: keyof Upstreams, settings: object): Edit =>
  (config) => ({ ...config, upstreams: { ...config.upstreams, [name]: { ...config.upstreams[name], ...settings } } });

const changes: readonly (readonly [what: string, edit: Edit])[] = [
  ["a timeout", inUpstream("up", { timeout: "3s" })],
  [
    "retries",
    inUpstream("up", { retry: { attempts: 3, idempotentMethods: ["test.v1.Test/Call"], perTryTimeout: "1s" } }),
  ],
  ["hedging", inUpstream("up", { retry: { hedgeAfter: "1s", idempotentMethods: ["*"] } })],
  ["the balancer", inUpstream("up", { balancer: "leastRequest", choices: 3 })],
  ["another balancer", inUpstream("up", { balancer: "maglev", hash: { by: "path" } })],
  ["slow start", inUpstream("up", { slowStart: { window: "1s" } })],
  ["load bias", inUpstream("up", { loadBias: { hold: "2s" } })],
  ["affinity", inUpstream("up", { affinity: { metadata: "x-session" } })],
  ["the panic threshold", inUpstream("up", { panicThreshold: "10%" })],
  [
    "what ejects, and for how long",
    inUpstream("up", { outlierDetection: { consecutiveFailures: 7, baseEjection: "1m" } }),
  ],
  ["failover", inUpstream("up", { failover: ["copy"] })],
  ["hosts", inUpstream("up", { hosts: ["up.internal"] })],
  ["the hard limit", inUpstream("up", { limits: { maxConcurrent: 40, maxQueue: 5, maxQueueTime: "1s" } })],
  ["the bounds of the learned limit", inUpstream("up", { adaptiveConcurrency: { initial: 10, max: 500, min: 2 } })],
  ["admission control", inUpstream("up", { admissionControl: { window: LONG, acceptRate: "60%" } })],
  ["an idle timeout", inUpstream("up", { idleTimeout: LONG })],
  [
    "what stands in for an open breaker",
    inUpstream("broken", { circuitBreaker: { minimumRequests: 3, openFor: LONG, fallback: { status: "aborted" } } }),
  ],
  [
    "another policy of the upstream with the open breaker",
    inUpstream("broken", { timeout: "3s", retry: { idempotentMethods: ["*"] } }),
  ],
  [
    "how fast it is called",
    (config) => ({
      ...config,
      rateLimits: config.rateLimits.map((limit) => (limit.name === "daily" ? { ...limit, limit: "2/d" } : limit)),
    }),
  ],
  [
    "another rate limit",
    (config) => ({
      ...config,
      rateLimits: [{ name: "more", direction: "outbound", limit: "5/s" }, ...config.rateLimits],
    }),
  ],
  ["another upstream", (config) => ({ ...config, upstreams: { ...config.upstreams, other: config.upstreams.copy } })],
  [
    "another route",
    (config) => ({
      ...config,
      routes: [
        ...config.routes,
        { name: "rest", upstream: "broken", to: "copy", match: { metadata: { "x-rest": "*" } } },
      ],
    }),
  ],
  [
    "a timeout of the route",
    (config) => ({ ...config, routes: config.routes.map((route) => ({ ...route, timeout: "2s" })) }),
  ],
  ["faults", (config) => ({ ...config, faults: [{ name: "none", match: { upstream: "copy" }, abort: "internal" }] })],
  ["deadlines", (config) => ({ ...config, deadlines: { refuseHopeless: "onRequest" } })],
  ["the log", (config) => ({ ...config, log: { level: "info", access: "none" } })],
];

test("a reload keeps what calls have brought about, whatever else it changes, and takes it back", async () => {
  await inScope(async (scope) => {
    const made = await world(scope);
    const { sidecar, caller, servers } = made;
    const open = caller.request(callHead("up"), true);
    await caller.next("headers", open);
    await eventually(
      () => answerOf(sidecar).mirrors[0]?.calls.mirrored === 7,
      () => "all are copied",
    );
    const before = stateOf(made);
    assert.match(JSON.stringify(before), /"ejected".*"broken","open",1,1/);
    for (const [what, edit] of changes) {
      for (const config of [edit(configOf(servers)), configOf(servers)]) {
        const { kind } = await sidecar.runtime.apply(offered(sidecar, config));
        assert.equal(kind, "applied", what);
        assert.deepEqual(stateOf(made), before, what);
      }
    }
    caller.reset(open, 8);
  });
});
