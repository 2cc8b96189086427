import { AppHealth, type HealthCheck } from "../cluster/app-health.ts";
import { roundRobin } from "../cluster/balancers/round-robin.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { type ClusterPolicy, defaultPolicy } from "../cluster/policy.ts";
import type { ServiceConfig } from "../config/types.ts";
import { StaticSource } from "../discovery/static.ts";
import { routeFilters } from "../filters/index.ts";
import type { Target } from "../proxy/target.ts";
import type { ProcessServices } from "./services.ts";
import { type MakeCluster, socketsOf } from "./upstreams/upstreams.ts";

/** One endpoint, which is not judged: there is no other to call instead. */
const alone: ClusterPolicy = {
  ...defaultPolicy,
  balancer: roundRobin,
  outlierDetection: { ...defaultPolicy.outlierDetection, mode: "disabled" },
};

/** The application beside this sidecar: where inbound calls go, and how it is. */
export class Application {
  readonly target: Target;
  readonly health: AppHealth;

  constructor(service: ServiceConfig, makeCluster: MakeCluster, services: ProcessServices) {
    const { metrics, accessLog, http2, clock, log, random } = services;
    const addresses = new Map([[service.name, [service.address]]]);
    const source = new StaticSource(addresses, { clock, log: log.logger, random, own: () => [] });
    const sockets = socketsOf(service);
    const cluster = makeCluster(service.name, source, alone, undefined, undefined, sockets?.protocol);
    const series = metrics.calls.upstream("inbound", service.name);
    this.target = {
      name: service.name,
      cluster,
      series,
      sockets,
      bandwidth: services.bandwidth.of("inbound", service.name),
      takesWebSockets: service.protocol === "http1" || service.protocol === "http2",
      filters: routeFilters({
        series,
        accessLog,
        tracer: services.tracer,
        overload: services.overload,
        timeout: undefined,
        concurrency: services.concurrency.of("inbound", service.name),
        rates: services.rateLimits.groups.inbound,
        tokens: services.tokens,
        authorization: services.authorization,
        external: services.external,
        faults: services.faults,
        hopeless: services.hopeless,
      }),
    };
    this.health = new AppHealth(healthCheck(service, cluster), { ...http2, log: log.logger });
  }

  get cluster(): Cluster {
    return this.target.cluster;
  }

  /** Whether nobody listens at its address any more. To be asked repeatedly: asking has it found out. */
  get gone(): boolean {
    for (const { state, pool } of this.cluster.endpoints) {
      if (state.kind === "unreachable" && state.failure.reason === "CONNECT_REFUSED") continue;
      pool.probe();
      return false;
    }
    return true;
  }

  close(): void {
    this.health.close();
    this.cluster.close();
  }
}

function healthCheck(service: ServiceConfig, cluster: Cluster): HealthCheck {
  switch (service.health) {
    case "none":
      return { kind: "none" };
    case "tcp":
      return { kind: "tcp", address: service.address };
    case "http":
      return { kind: "http", address: service.address, path: service.healthPath ?? "/" };
    case "grpc": {
      const [endpoint] = cluster.endpoints;
      if (endpoint === undefined) throw new Error(`the application's address is unusable`);
      return { kind: "grpc", pool: endpoint.pool };
    }
  }
}
