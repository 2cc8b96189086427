import { type BalancerName, balancers } from "../cluster/balancers/index.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Config, UpstreamConfig } from "../config/types.ts";
import type { Clock } from "../core/clock.ts";
import { type DiscoverySource, isRegistry } from "../discovery/source.ts";
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
  readonly sources: Sources;
  readonly makeCluster: MakeCluster;
  readonly metrics: CallMetrics;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
}

interface Declared {
  readonly config: UpstreamConfig;
  readonly source: DiscoverySource;
  readonly target: Target;
}

/**
 * Every upstream there is: those that the configuration declares, and those that callers have asked for.
 *
 * Invariants: a call asks for its route and its target once, when it begins, and keeps them; an upstream whose name and source
 * stay keeps its cluster over every reload, and with it endpoints, connections, health and counts.
 */
export class Upstreams implements OutboundRules {
  private readonly options: UpstreamsOptions;
  private table: RouteTable;
  private declared = new Map<string, Declared>();
  private readonly onDemand: OnDemand;
  private lookupSource: DiscoverySource;

  constructor(config: Config, options: UpstreamsOptions) {
    this.options = options;
    this.lookupSource = options.sources.of(config.discovery.default);
    this.onDemand = this.makeOnDemand(config);
    this.table = this.makeTable(config);
    this.adopt(config);
  }

  get routes(): RouteTable {
    return this.table;
  }

  target(name: string): Target | undefined {
    return this.declared.get(name)?.target;
  }

  lookup(name: string): Resolution {
    return this.onDemand.lookup(name);
  }

  /** Goes over to another configuration; the sources have done so before. */
  apply(config: Config): void {
    const { onDemand } = this;
    onDemand.limits = config.names.onDemand;
    const source = this.options.sources.of(config.discovery.default);
    if (source !== this.lookupSource) {
      this.lookupSource = source;
      if (!isRegistry(source.kind)) onDemand.clear();
      for (const cluster of onDemand.held()) cluster.useSource(source.kind, source.subscribe(cluster.name));
    }
    this.adopt(config);
    this.table = this.makeTable(config);
  }

  /** Clusters that the configuration names. */
  *required(): IterableIterator<Cluster> {
    for (const { target } of this.declared.values()) yield target.cluster;
  }

  /** Clusters that exist: the declared ones, and looked-up ones with an instance. */
  *clusters(): IterableIterator<Cluster> {
    yield* this.required();
    yield* this.onDemand.clusters();
  }

  close(): void {
    this.onDemand.clear();
    for (const cluster of this.required()) cluster.close();
  }

  private adopt(config: Config): void {
    const before = this.declared;
    this.declared = new Map();
    for (const [name, upstream] of config.upstreams) {
      const source = this.options.sources.of(upstream.discovery);
      const old = before.get(name);
      before.delete(name);
      this.declared.set(name, { config: upstream, source, target: this.targetOf(name, upstream, source, old) });
    }
    for (const [name, { target }] of before) {
      target.cluster.close();
      this.options.metrics.free("outbound", name);
    }
  }

  private targetOf(name: string, config: UpstreamConfig, source: DiscoverySource, old: Declared | undefined): Target {
    // A name that callers used before it was declared keeps what they have found out of it.
    const cluster = old?.target.cluster ?? this.onDemand.release(name);
    if (cluster === undefined)
      return this.makeTarget(this.options.makeCluster(name, source, config.balancer), config.timeout);
    if ((old?.source ?? this.lookupSource) !== source) cluster.useSource(source.kind, source.subscribe(name));
    cluster.useBalancer(balancers[config.balancer]);
    const isSame = old !== undefined && old.config.timeout === config.timeout;
    return isSame ? old.target : this.makeTarget(cluster, config.timeout);
  }

  private makeTable(config: Config): RouteTable {
    return new RouteTable({
      upstreams: [...config.upstreams].map(([name, { hosts }]) => ({ name, hosts })),
      suffixes: config.names.suffixes,
      // Only a source that knows names by itself can be asked for one that nobody declared.
      allow: isRegistry(this.lookupSource.kind) ? config.names.onDemand.allow : [],
    });
  }

  private makeOnDemand(config: Config): OnDemand {
    const { makeCluster, metrics, clock } = this.options;
    const host = {
      cluster: (name: string) => makeCluster(name, this.lookupSource, "leastRequest"),
      target: (cluster: Cluster) => this.makeTarget(cluster, undefined),
      forget: (target: Target) => metrics.free("outbound", target.name),
    };
    return new OnDemand(config.names.onDemand, host, clock);
  }

  private makeTarget(cluster: Cluster, timeout: number | undefined): Target {
    const { metrics, accessLog } = this.options;
    const series = metrics.upstream("outbound", cluster.name);
    return { name: cluster.name, cluster, series, filters: routeFilters({ series, accessLog, timeout }) };
  }
}
