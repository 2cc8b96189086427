import type { Cluster } from "../cluster/cluster.ts";
import type { EndpointStats } from "../cluster/endpoint-stats.ts";
import { redact } from "../config/redact.ts";
import type { ExternalAuthorization } from "../filters/external/external-authorization.ts";
import type { Direction } from "../http/reason.ts";
import type { NamedBandwidth } from "../limits/bandwidth/limits.ts";
import { describeConcurrency } from "../limits/describe-concurrency.ts";
import { describeLimit } from "../limits/describe-limit.ts";
import type { Overload } from "../limits/overload/overload.ts";
import { causeWords } from "../limits/overload/words.ts";
import type { Explanation } from "../observability/explain/explanation.ts";
import type { ExplainedCall } from "../observability/explain/explanations.ts";
import type { LogLevel } from "../observability/log.ts";
import type { Scrape, ScrapeFormat } from "../observability/metrics.ts";
import type { Mirror } from "../proxy/mirror.ts";
import type { CallListener } from "../runtime/listeners.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { describePolicies } from "../runtime/upstreams/describe-policies.ts";
import { describeRouting } from "../runtime/upstreams/describe-routing.ts";
import type {
  AuthorizationServiceAnswer,
  BandwidthAnswer,
  ClusterAnswer,
  ClustersAnswer,
  ConnectionAnswer,
  ConnectionsAnswer,
  ListenerAnswer,
  MirrorAnswer,
  OutAnswer,
  OverloadAnswer,
  ReadyAnswer,
} from "./answers.ts";
import { ApplicationHealth } from "./application-health.ts";
import type { ControlView, HealthStatus } from "./view.ts";

/** What people may ask of the process by admin. */
export interface ShutdownRequests {
  drain(): void;
  quit(): void;
}

/** A running sidecar as admin and probe see it. */
export class RuntimeView implements ControlView {
  readonly version: string;
  private readonly runtime: Runtime;
  private readonly shutdown: ShutdownRequests;
  private readonly health: ApplicationHealth;
  private wasReady = false;

  constructor(runtime: Runtime, shutdown: ShutdownRequests, version: string) {
    this.runtime = runtime;
    this.shutdown = shutdown;
    this.version = version;
    this.health = new ApplicationHealth({
      application: () => runtime.application?.health,
      ready: () => runtime.ready().ready,
      draining: runtime.drainBegan,
      clock: runtime.services.clock,
    });
  }

  get name(): string {
    return this.runtime.config.identity.name;
  }

  readiness(): ReadyAnswer {
    const answer = this.runtime.ready();
    this.wasReady ||= answer.ready;
    return answer;
  }

  /** Whoever can answer works: a sidecar that waits for its discovery source gains nothing by a restart. */
  live(): boolean {
    return true;
  }

  started(): boolean {
    return this.wasReady || this.readiness().ready;
  }

  config(): unknown {
    return redact(this.runtime.config);
  }

  clusters(): ClustersAnswer {
    return {
      clusters: [...this.runtime.upstreams.clusters()].map((cluster) => clusterAnswer(cluster)),
      rateLimits: [...this.runtime.services.rateLimits.all()].map(describeLimit),
      concurrency: [...describeConcurrency(this.runtime.services.concurrency)],
      bandwidth: [...this.runtime.services.bandwidth.all()].map(bandwidthAnswer),
      overload: describeOverload(this.runtime.services.overload),
      policies: [...describePolicies(this.runtime.upstreams.policies, this.runtime.services.clock)],
      authorizationService: describeService(this.runtime.services.external),
      intentions: this.runtime.intentions.describe(),
      tokens: this.runtime.tokenKeys.describe(),
      mirrors: [...this.runtime.upstreams.routing.allMirrors()].map(mirrorAnswer),
      routing: [...this.runtime.upstreams.consulChains()].map(describeRouting),
    };
  }

  connections(): ConnectionsAnswer {
    const { listeners, upstreams, application, services } = this.runtime;
    const now = services.clock.wall();
    const connections: ConnectionAnswer[] = [];
    for (const { acceptor, side } of listeners.all()) {
      for (const { peer, caller, socket, since, active, life } of side.connections) {
        connections.push({
          direction: acceptor.direction,
          made: "accepted",
          upstream: null,
          peer,
          identity: caller?.identity ?? null,
          state: life.isAsked ? "draining" : "open",
          streams: active,
          since: timestamp(since),
          retiresAt: retirement(now, life.left),
          bytesReceived: socket.bytesRead,
          bytesSent: socket.bytesWritten,
        });
      }
      for (const { peer, caller, connection, since, life } of acceptor.connections) {
        connections.push({
          direction: acceptor.direction,
          made: "accepted",
          upstream: null,
          peer,
          identity: caller?.identity ?? null,
          state: connection.draining ? "draining" : "open",
          streams: connection.activeStreams,
          since: timestamp(since),
          retiresAt: retirement(now, life.left),
          bytesReceived: connection.bytesReceived,
          bytesSent: connection.bytesSent,
        });
      }
    }
    if (application !== undefined) connections.push(...this.dialled("inbound", application.cluster));
    for (const cluster of upstreams.clusters()) connections.push(...this.dialled("outbound", cluster));
    return { listeners: [...this.runtime.callListeners()].map(listenerAnswer), connections };
  }

  metrics(format: ScrapeFormat): Promise<Scrape> {
    return this.runtime.services.metrics.scrape(format);
  }

  explain(id: string): readonly Explanation[] {
    return this.runtime.services.explanations.find(id);
  }

  latestCalls(count: number, failed: boolean): readonly ExplainedCall[] {
    return this.runtime.services.explanations.latest(count, failed);
  }

  askApplication(service: string): Promise<HealthStatus> {
    return this.health.ask(service);
  }

  watchApplication(service: string, tell: (status: HealthStatus) => void): () => void {
    return this.health.watch(service, tell);
  }

  drain(): void {
    this.shutdown.drain();
  }

  quit(): void {
    this.shutdown.quit();
  }

  setLogLevel(level: LogLevel): void {
    this.runtime.services.log.setLevel(level);
  }

  private *dialled(direction: Direction, cluster: Cluster): IterableIterator<ConnectionAnswer> {
    const now = this.runtime.services.clock.wall();
    for (const { address, connections } of cluster.stats()) {
      for (const { state, identity, streams, age, left, bytesReceived, bytesSent } of connections) {
        yield {
          direction,
          made: "dialled",
          upstream: cluster.name,
          peer: address,
          identity: identity ?? null,
          state,
          streams,
          since: timestamp(now - age),
          retiresAt: retirement(now, left),
          bytesReceived,
          bytesSent,
        };
      }
    }
  }
}

function retirement(now: number, left: number | undefined): string | null {
  return left === undefined ? null : timestamp(now + left);
}

function listenerAnswer({ name, listener: { connections, limits } }: CallListener): ListenerAnswer {
  return { name, connections, max: limits.maxConnections, maxPerSource: limits.maxPerSource ?? null };
}

function clusterAnswer(cluster: Cluster): ClusterAnswer {
  const discovered = cluster.state.current;
  const staleSince = discovered.kind === "known" ? discovered.staleSince : undefined;
  return {
    name: cluster.name,
    source: cluster.source,
    staleSince: staleSince === undefined ? null : timestamp(staleSince),
    balancer: cluster.balancerName,
    panic: cluster.panic,
    failover: cluster.failoverNames,
    endpoints: cluster.stats().map((stats) => ({
      address: stats.address,
      state: stats.state,
      weight: stats.weight,
      effectiveWeight: stats.effectiveWeight,
      zone: stats.zone ?? null,
      meta: stats.meta,
      inFlight: stats.inFlight,
      connections: stats.connections.length,
      lastError: stats.lastError ?? null,
      out: outAnswer(stats),
    })),
  };
}

function describeService(external: ExternalAuthorization): AuthorizationServiceAnswer | null {
  const { options, failing, pending, counts } = external;
  if (options === undefined) return null;
  const { service, mode, onFailure } = options;
  const up = failing === undefined;
  return { service, mode, onFailure, up, lastError: failing ?? null, inFlight: pending, results: { ...counts } };
}

function bandwidthAnswer({ bandwidth, ...which }: NamedBandwidth): BandwidthAnswer {
  const { rate, waiting, passed, delayed } = bandwidth;
  return { ...which, bytesPerSecond: rate.rate, burst: rate.burst, waiting, passed, delayed };
}

function describeOverload({ seen, actions }: Overload): OverloadAnswer {
  return {
    resources: seen.map(({ name, unit, used, limit, pressure }) => ({
      name,
      unit,
      value: Math.round(used),
      available: limit,
      pressure: Math.round(pressure * 1e4) / 1e4,
    })),
    actions: actions.map((action) => {
      const { name, since, cause, times, effects } = action;
      const why = cause === undefined ? null : causeWords(action);
      return { name, since: since === undefined ? null : timestamp(since), why, times, effects };
    }),
  };
}

function outAnswer({ unhealthy, ejected }: EndpointStats): OutAnswer | null {
  if (unhealthy !== undefined) {
    const { since, detail } = unhealthy;
    return { cause: "healthCheck", detail, since: timestamp(since), until: null, times: ejected?.times ?? 0 };
  }
  if (ejected === undefined) return null;
  const { cause, detail, since, until, times } = ejected;
  return { cause, detail, since: timestamp(since), until: until === undefined ? null : timestamp(until), times };
}

function timestamp(wall: number): string {
  return new Date(wall).toISOString();
}

function mirrorAnswer({ name, options, counts, compared }: Mirror): MirrorAnswer {
  const { to, share, compare } = options;
  return { name, to, share, compare, calls: { ...counts }, compared: compare === "none" ? null : { ...compared } };
}
