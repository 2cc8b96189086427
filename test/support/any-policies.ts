import assert from "node:assert/strict";
import { balancers } from "../../src/cluster/balancers/index.ts";
import { loadConfig } from "../../src/config/load.ts";
import { seededRandom } from "./random.ts";
import { type SidecarConfig, wholeConfig } from "./with-proxy.ts";

/** Chooses among policies at random. */
export class Dice {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  of<T>(...choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] ?? assert.fail("nothing to choose from");
  }

  /** Some of them, in their order. */
  some<T>(choices: readonly T[]): T[] {
    const chosen = choices.filter(() => this.random() < 0.7);
    return chosen.length > 0 ? chosen : [this.of(...choices)];
  }

  /** This, or nothing of it. */
  maybe(settings: object): object {
    return this.random() < 0.5 ? settings : {};
  }
}

/** Where calls can go. */
export interface Places {
  /** Of the upstream `up`; the first one is also what `spare` has. */
  readonly endpoints: readonly string[];
  readonly copies: readonly string[];
  /** The one method that may be made again: package.Service/Method. */
  readonly idempotent: string;
}

/** Any combination of what can be done to the calls of the upstream `up`, the odd ones and the smallest limits among them. */
export function anyPolicies(dice: Dice, places: Places): SidecarConfig {
  for (;;) {
    const config = draw(dice, places);
    // What has no effect beside something else is refused as an error.
    if (loadConfig(JSON.stringify(wholeConfig(config)), { file: "drawn.yaml", env: {} }).ok) return config;
  }
}

function draw(dice: Dice, { endpoints, copies, idempotent }: Places): SidecarConfig {
  const upstreams = {
    spare: { discovery: "static", endpoints: endpoints.slice(0, 1) },
    copy: { discovery: "static", endpoints: copies },
    // Now and then nobody declares it any more.
    ...(dice.random() < 0.08 ? {} : { up: anyUpstream(dice, endpoints, idempotent) }),
  };
  const declared = "up" in upstreams;
  return {
    log: { level: "warn", access: "none" },
    explain: { calls: 50 },
    upstreams,
    routes: declared ? anyRoutes(dice, idempotent) : [],
    rateLimits: dice.some(anyRateLimits(dice)).slice(0, dice.of(0, 0, 1, 3)),
    faults: declared ? anyFaults(dice) : [],
    deadlines: { refuseHopeless: dice.of("never", "onRequest") },
  };
}

function anyUpstream(dice: Dice, endpoints: readonly string[], idempotent: string): object {
  const balancer = dice.of(...Object.keys(balancers));
  const hashed = balancer === "ringHash" || balancer === "maglev";
  return {
    discovery: "static",
    balancer,
    endpoints: dice.some(endpoints),
    ...(hashed
      ? dice.maybe({ hash: { by: "metadata", name: "x-user", ...dice.maybe({ maxLoad: "100%" }) } })
      : dice.maybe({ aperture: dice.of(1, 2) })),
    ...dice.maybe({ affinity: dice.of({ metadata: "x-session" }, { cookie: "visit" }) }),
    ...dice.maybe({ loadBias: { floor: dice.of("1%", "100%"), hold: "20ms", recovery: "50ms" } }),
    ...dice.maybe({ slowStart: { window: "100ms", from: dice.of("0%", "50%"), curve: dice.of("linear", "late") } }),
    ...dice.maybe({ panicThreshold: dice.of("0%", "50%", "100%") }),
    ...dice.maybe({ healthCheck: { kind: dice.of("grpc", "tcp"), interval: "50ms", timeout: "2s" } }),
    ...dice.maybe({ retry: anyRetry(dice, idempotent) }),
    ...dice.maybe({ circuitBreaker: anyBreaker(dice) }),
    ...dice.maybe({ limits: anyLimits(dice) }),
    ...dice.maybe({
      adaptiveConcurrency: dice.of(
        { initial: dice.of(4, 16), min: 2, max: 20, per: dice.of("all", "method") },
        { initial: 1, min: 1, max: 1, criticality: "x-user" },
      ),
    }),
    ...dice.maybe({ admissionControl: { minimumRequests: 5, acceptRate: "40%", maxRefused: dice.of("80%", "100%") } }),
    ...dice.maybe({ timeout: dice.of("1ms", "200ms") }),
    ...dice.maybe({ idleTimeout: dice.of("20ms", "200ms") }),
    ...dice.maybe({ streams: { methods: ["*"], maxAge: "50ms", jitter: "0%" } }),
    ...dice.maybe({
      outlierDetection: dice.of<object>(
        { mode: "disabled" },
        { baseEjection: "50ms", maxEjected: dice.of("0%", "50%", "100%"), consecutiveFailures: dice.of(1, 5) },
      ),
    }),
    ...dice.maybe({ failover: ["spare"] }),
  };
}

function anyRetry(dice: Dice, idempotent: string): object {
  return {
    ...dice.of({}, { perTryTimeout: "60ms" }, { hedgeAfter: "15ms" }, { hedgeAfter: "1ms", perTryTimeout: "100ms" }),
    attempts: dice.of(2, 5),
    backoff: { base: "1ms", max: "5ms" },
    budget: dice.of("0%", "20%", "100%"),
    statuses: dice.of(["unavailable"], ["aborted"], ["unavailable", "internal", "resourceExhausted"]),
    idempotentMethods: [idempotent],
  };
}

function anyBreaker(dice: Dice): object {
  return {
    minimumRequests: dice.of(1, 2, 20),
    failureRate: dice.of("1%", "50%", "100%"),
    openFor: dice.of("20ms", "200ms"),
    scope: dice.of("upstream", "method"),
    ...dice.maybe({ slowCall: "10ms", slowRate: dice.of("10%", "100%") }),
    ...dice.of({}, { fallback: { status: "aborted" } }, { fallback: { upstream: "spare" } }),
  };
}

function anyLimits(dice: Dice): object {
  return {
    ...dice.maybe({ maxConnections: dice.of(1, 2) }),
    maxConcurrent: dice.of(1, 4, 16),
    ...dice.of({}, { maxQueue: 1, maxQueueTime: "10ms" }, { maxQueue: 8, maxQueueTime: "50ms" }),
  };
}

function anyRoutes(dice: Dice, idempotent: string): object[] {
  const mirror = { to: "copy", share: dice.of("1%", "50%", "100%"), compare: dice.of("none", "status", "messages") };
  const [all, nobody] = [dice.of("up", "spare"), dice.of("up", "spare")];
  const split = [
    { to: all, share: dice.of("100%", "50%") },
    { to: nobody, share: "0%" },
  ];
  if (split[0]?.share === "50%") split[1] = { to: nobody, share: "50%" };
  const routes = [
    { name: "copied", upstream: "up", match: { metadata: { "x-user": "1" } }, mirror },
    {
      name: "again",
      upstream: "up",
      match: { method: idempotent },
      retry: anyRetry(dice, idempotent),
      timeout: "150ms",
    },
    {
      name: "shared",
      upstream: "up",
      split,
      ...dice.maybe({ stickyBy: "metadata.x-user" }),
      ...dice.maybe({ mirror }),
    },
  ];
  return dice.random() < 0.5 ? [] : dice.some(routes);
}

function anyRateLimits(dice: Dice): Readonly<Record<string, unknown>>[] {
  const direction = "outbound";
  return [
    { name: "rate", direction, limit: dice.of("200/s", "1000/s"), burst: dice.of(1, 50) },
    {
      name: "users",
      direction,
      key: ["metadata.x-user"],
      maxKeys: 1,
      limit: "1/s",
      burst: 1,
      mode: dice.of("enforce", "shadow"),
    },
    { name: "daily", direction, limit: dice.of("1/d", "100/d"), algorithm: dice.of("fixedWindow", "slidingWindow") },
  ];
}

function anyFaults(dice: Dice): object[] {
  const match = { upstream: "up" };
  const faults = [
    { name: "late", match, percentage: dice.of("20%", "100%"), delay: "20ms" },
    { name: "gone", match, percentage: dice.of("1%", "10%"), abort: "unavailable" },
  ];
  return dice.random() < 0.4 ? [] : dice.some(faults);
}
