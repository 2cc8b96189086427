import type { ClustersAnswer, ConnectionsAnswer, ReadyAnswer } from "../../src/control/answers.ts";
import type { ControlView, HealthStatus } from "../../src/control/view.ts";
import { Watch } from "../../src/core/watch.ts";
import type { Explanation } from "../../src/observability/explain/explanation.ts";
import type { ExplainedCall } from "../../src/observability/explain/explanations.ts";
import type { LogLevel } from "../../src/observability/log.ts";
import type { Scrape } from "../../src/observability/metrics.ts";

export const anExplanation: Explanation = {
  id: "abcd-1",
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  direction: "outbound",
  path: "/orders.v1.Orders/Get",
  authority: "orders",
  peer: "127.0.0.1:40000",
  identity: null,
  startedAt: "2030-01-01T00:00:00.000Z",
  upstream: "orders",
  endpoint: "10.0.0.1:15006",
  attempts: 1,
  deadline: { ms: 250, by: "caller" },
  status: "UNAVAILABLE",
  reason: "UPSTREAM_LOST",
  durationMs: 1.5,
  phases: { deciding: 0.1, reaching: 0.2, upstream: null, answering: null },
  steps: [
    { at: 0, decision: "limit", text: "limit maxConcurrent: 3 of 4", value: 3, threshold: 4 },
    {
      at: 0.1,
      decision: "candidates",
      text: "the endpoints that there were",
      candidates: [{ name: "10.0.0.1:15006", verdict: "picked" }],
    },
  ],
  forgotten: false,
};

/** A sidecar that is what a test says it is, and remembers what it was asked to do. */
export class FakeView implements ControlView {
  readonly name = "user";
  readonly version = "1.2.3";
  ready: ReadyAnswer = { ready: true };
  wasReady = true;
  alive = true;
  readonly done: string[] = [];
  scrapes = 0;
  /** Health by service; a name that is not there is unknown to the application. */
  readonly health = new Map([["", new Watch<HealthStatus>("SERVING")]]);
  asked: string[] = [];
  answer: (service: string) => Promise<HealthStatus> = async (service) =>
    this.health.get(service)?.current ?? "SERVICE_UNKNOWN";
  watchers = 0;
  known: ClustersAnswer = {
    clusters: [
      {
        name: "orders",
        source: "consul",
        staleSince: "2030-01-01T00:00:00.000Z",
        balancer: "leastRequest",
        panic: false,
        failover: ["orders-elsewhere"],
        endpoints: [
          {
            address: "10.0.0.1:15006",
            state: "up",
            weight: 1,
            effectiveWeight: 1,
            zone: null,
            meta: { version: "<script>alert(1)</script>" },
            inFlight: 3,
            connections: 1,
            lastError: null,
            out: null,
          },
          {
            address: "10.0.0.2:15006",
            state: "unreachable",
            weight: 2,
            effectiveWeight: 2,
            zone: "a",
            meta: {},
            inFlight: 0,
            connections: 0,
            lastError: "<b>10.0.0.2:15006 refused the connection</b>",
            out: {
              cause: "consecutiveFailures",
              detail: "5 failures in a row, the last: UPSTREAM_LOST",
              since: "2030-01-01T00:00:00.000Z",
              until: "2030-01-01T00:00:30.000Z",
              times: 1,
            },
          },
        ],
      },
      {
        name: "empty",
        source: "static",
        staleSince: null,
        balancer: "roundRobin",
        panic: false,
        failover: [],
        endpoints: [],
      },
    ],
    rateLimits: [
      {
        name: "per-caller",
        direction: "inbound",
        mode: "enforce",
        limit: "100/s, 200 at once",
        store: "redis",
        storeUp: true,
        keys: 3,
        leased: 12,
        refused: 7,
      },
    ],
    bandwidth: [
      {
        direction: "outbound",
        upstream: "orders",
        way: "response",
        bytesPerSecond: 1_048_576,
        burst: 104_857,
        waiting: 2,
        passed: 4_000_000,
        delayed: 3_000_000,
      },
    ],
    overload: {
      resources: [{ name: "memory", unit: "octets", value: 387_973_120, available: 402_653_184, pressure: 0.9635 }],
      actions: [
        {
          name: "refuseOrdinary",
          since: "2030-01-01T00:00:00.000Z",
          why: "memory at 96.4% (370 of 384 MiB), refuseOrdinary is from 95%",
          times: 2,
          effects: 17,
        },
        { name: "refuseAll", since: null, why: null, times: 0, effects: 0 },
      ],
    },
    policies: [
      {
        upstream: "orders",
        retry: { retries: 3, hedges: 0, budget: { used: 1, allowed: 100 }, refused: { budget: 0 } },
        circuitBreakers: [
          {
            method: "",
            state: "open",
            window: { calls: 20, failures: 12, slow: 0 },
            opened: 1,
            refused: 4,
            why: "12 of 20 calls in 10s failed; the next try is in 3s",
          },
        ],
        admissionControl: { requests: 100, accepted: 40, refusing: 0.198, refused: 12 },
        limits: [
          { name: "maxConnections", limit: 2, current: null },
          { name: "maxConcurrent", limit: 100, current: 7 },
        ],
      },
      { upstream: "billing", retry: null, circuitBreakers: [], admissionControl: null, limits: [] },
    ],
    authorizationService: {
      service: "authz",
      mode: "enforce",
      onFailure: "deny",
      up: false,
      lastError: "no answer within 200 ms",
      inFlight: 2,
      results: { allowed: 40, denied: 2, failedDenied: 1 },
    },
    intentions: { count: 3, default: "deny", lastError: "consul at 127.0.0.1:8500 refuses connections" },
    tokens: {
      providers: [
        { name: "accounts", keys: 2, lastError: null },
        { name: "partners", keys: null, lastError: "it answers with 503" },
      ],
      results: { verified: 12, known: 10, missing: 1 },
    },
    mirrors: [
      {
        name: "copy",
        to: "orders-next",
        share: 0.1,
        compare: "messages",
        calls: { mirrored: 3, dropped: 0, failed: 1, skipped: 0 },
        compared: { same: 2, status: 0, length: 0, messages: 1, metadata: 0, incomplete: 1 },
      },
    ],
    routing: [
      {
        upstream: "orders",
        source: "consul",
        protocol: "grpc",
        updatedAt: "2024-01-02T03:04:05.678Z",
        staleSince: null,
        error: null,
        routes: [
          {
            name: "Routes[0]",
            match: 'path prefix "/orders."',
            to: [
              { name: "orders/v1.orders", share: 0.9 },
              { name: "orders/v2.orders", share: 0.1 },
            ],
          },
        ],
        notObeyed: [],
      },
    ],
    concurrency: [
      {
        direction: "inbound",
        upstream: "user",
        method: null,
        limit: 37,
        inFlight: 36,
        refused: 5,
        why: "limit 37: lowest latency 4 ms, now 11 ms",
      },
    ],
  };
  open: ConnectionsAnswer = {
    listeners: [
      { name: "inbound", connections: 1, max: 10_000, maxPerSource: null },
      { name: "outbound", connections: 0, max: 100, maxPerSource: 20 },
    ],
    connections: [
      {
        direction: "outbound",
        made: "dialled",
        upstream: "orders",
        peer: "10.0.0.1:15006",
        identity: null,
        state: "open",
        streams: 3,
        since: "2030-01-01T00:00:00.000Z",
        retiresAt: null,
        bytesReceived: 5,
        bytesSent: 7,
      },
      {
        direction: "inbound",
        made: "accepted",
        upstream: null,
        peer: "10.0.0.9:40000",
        identity: null,
        state: "draining",
        streams: 0,
        since: "2030-01-01T00:00:00.000Z",
        retiresAt: "2030-01-01T00:30:00.000Z",
        bytesReceived: 0,
        bytesSent: 0,
      },
    ],
  };

  readiness(): ReadyAnswer {
    return this.ready;
  }
  live(): boolean {
    return this.alive;
  }
  started(): boolean {
    return this.wasReady;
  }
  config(): unknown {
    return { service: { name: "user" }, discovery: { consul: { token: "***" } } };
  }
  clusters(): ClustersAnswer {
    return this.known;
  }
  connections(): ConnectionsAnswer {
    return this.open;
  }
  explain(id: string): readonly Explanation[] {
    return id === "abcd-1" ? [anExplanation] : [];
  }
  latestCalls(_count: number, failed: boolean): readonly ExplainedCall[] {
    const { id, traceId, startedAt, direction, path, durationMs } = anExplanation;
    const call = { id, traceId, startedAt, direction, path, durationMs, upstream: "orders" };
    const good = { ...call, id: "abcd-2", status: "OK", reason: null };
    return [{ ...call, status: "UNAVAILABLE", reason: "UPSTREAM_LOST" }, ...(failed ? [] : [good])];
  }
  async metrics(): Promise<Scrape> {
    this.scrapes++;
    return { contentType: "text/plain; version=0.0.4; charset=utf-8", text: "# HELP x X.\n# TYPE x gauge\nx 1\n" };
  }
  askApplication(service: string): Promise<HealthStatus> {
    this.asked.push(service);
    return this.answer(service);
  }
  watchApplication(service: string, tell: (status: HealthStatus) => void): () => void {
    const watch = this.health.get(service);
    this.watchers++;
    tell(watch?.current ?? "SERVICE_UNKNOWN");
    const stop = watch?.onChange(tell);
    return () => {
      this.watchers--;
      stop?.();
    };
  }
  drain(): void {
    this.done.push("drain");
  }
  quit(): void {
    this.done.push("quit");
  }
  setLogLevel(level: LogLevel): void {
    this.done.push(`level ${level}`);
  }
}
