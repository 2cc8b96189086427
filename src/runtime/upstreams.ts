import type { BalancerName } from "../cluster/balancers/index.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../core/clock.ts";
import type { DiscoverySource } from "../discovery/source.ts";
import { routeFilters } from "../filters/index.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { CallMetrics } from "../observability/call-metrics.ts";
import type { OutboundRules } from "../proxy/outbound.ts";
import type { Resolution, Target } from "../proxy/target.ts";
import { RouteTable } from "../routing/route-table.ts";
import { OnDemand } from "./on-demand.ts";
import type { Sources } from "./sources.ts";

/** Makes the cluster of a name. */
export type MakeCluster = (name: string, source: DiscoverySource, balancer: BalancerName) => Cluster;

export interface UpstreamsOptions {
  readonly config: Config;
  readonly sources: Sources;
  readonly makeCluster: MakeCluster;
  readonly metrics: CallMetrics;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
}

/** Every upstream there is: those that the configuration declares, and those that callers have asked for. */
export class Upstreams implements OutboundRules {
  readonly routes: RouteTable;
  private readonly options: UpstreamsOptions;
  private readonly declared = new Map<string, Target>();
  private readonly onDemand: OnDemand;

  constructor(options: UpstreamsOptions) {
    this.options = options;
    const { config, sources, makeCluster, clock } = options;
    const { onDemand, suffixes } = config.names;
    const source = sources.of(config.discovery.default);
    this.routes = new RouteTable({
      upstreams: [...config.upstreams].map(([name, { hosts }]) => ({ name, hosts })),
      suffixes,
      // Only a source that knows names by itself can be asked for one that nobody declared.
      allow: source.kind === "static" ? [] : onDemand.allow,
    });
    for (const [name, upstream] of config.upstreams) {
      const cluster = makeCluster(name, sources.of(upstream.discovery), upstream.balancer);
      this.declared.set(name, this.makeTarget(cluster, upstream.timeout));
    }
    const host = {
      cluster: (name: string) => makeCluster(name, source, "leastRequest"),
      target: (cluster: Cluster) => this.makeTarget(cluster, undefined),
      forget: (target: Target) => options.metrics.free("outbound", target.name),
    };
    this.onDemand = new OnDemand(onDemand, host, clock);
  }

  target(name: string): Target | undefined {
    return this.declared.get(name);
  }

  lookup(name: string): Resolution {
    return this.onDemand.lookup(name);
  }

  /** Clusters that the configuration names. */
  *required(): IterableIterator<Cluster> {
    for (const { cluster } of this.declared.values()) yield cluster;
  }

  /** Clusters that exist: the declared ones, and looked-up ones with an instance. */
  *clusters(): IterableIterator<Cluster> {
    yield* this.required();
    yield* this.onDemand.clusters();
  }

  close(): void {
    this.onDemand.close();
    for (const { cluster } of this.declared.values()) cluster.close();
  }

  private makeTarget(cluster: Cluster, timeout: number | undefined): Target {
    const { metrics, accessLog } = this.options;
    const series = metrics.upstream("outbound", cluster.name);
    return { name: cluster.name, cluster, series, filters: routeFilters({ series, accessLog, timeout }) };
  }
}
