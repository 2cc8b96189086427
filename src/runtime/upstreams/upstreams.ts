import { isDeepStrictEqual } from "node:util";
import type { Cluster } from "../../cluster/cluster.ts";
import { type ClusterPolicy, defaultPolicy } from "../../cluster/policy.ts";
import type { Config, RouteConfig, UpstreamConfig } from "../../config/types.ts";
import { type Address, formatAddress } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { consulName } from "../../discovery/consul/name.ts";
import type { DiscoveryServices } from "../../discovery/services.ts";
import { type DiscoverySource, isRegistry } from "../../discovery/source.ts";
import type { FilterChain } from "../../filters/chain.ts";
import type { Faults } from "../../filters/faults.ts";
import type { HopelessCalls } from "../../filters/hopeless.ts";
import { routeFilters } from "../../filters/index.ts";
import type { Call } from "../../http/call.ts";
import { matchMethod } from "../../http/call-match.ts";
import type { HeaderTable } from "../../http/headers.ts";
import { statusOf } from "../../http/status-words.ts";
import type { BandwidthLimits } from "../../limits/bandwidth/limits.ts";
import type { ConcurrencyLimits } from "../../limits/concurrency-limits.ts";
import type { LimitGroup } from "../../limits/limit-group.ts";
import type { Overload } from "../../limits/overload/overload.ts";
import type { AccessLog } from "../../observability/access-log.ts";
import type { CallMetrics } from "../../observability/call-metrics.ts";
import type { Tracer } from "../../observability/tracing/tracer.ts";
import type { OutboundRules } from "../../proxy/outbound.ts";
import type { StreamAgePolicy } from "../../proxy/stream-age.ts";
import type { Onward, Resolution, SocketTarget, Target } from "../../proxy/target.ts";
import { RouteTable } from "../../routing/route-table.ts";
import { onwardProblem } from "../egress.ts";
import type { Expected } from "../readiness.ts";
import type { Sources } from "../sources.ts";
import type { ChainSurroundings, UpstreamChain } from "./chain.ts";
import { policyOf } from "./cluster-policy.ts";
import { ConsulChains } from "./consul-chains.ts";
import { OnDemand } from "./on-demand.ts";
import { Passthrough } from "./passthrough.ts";
import { type PolicyServices, UpstreamPolicies } from "./policies.ts";
import { Routes } from "./routes.ts";

/**
 * Makes the cluster of a name. `lookup`: how the source calls it, where that is something else; `upstream`: whose calls it gets,
 * where they are not those of its name. `protocol`: what its endpoints speak,
 * where that is not HTTP/2.
 */
export type MakeCluster = (
  name: string,
  source: DiscoverySource,
  policy: ClusterPolicy,
  lookup?: string,
  upstream?: string,
  protocol?: SocketTarget["protocol"],
) => Cluster;

/** What clusters, targets and routes are made with. */
export interface UpstreamsOptions {
  readonly sources: Sources;
  readonly makeCluster: MakeCluster;
  /** Makes the cluster of an address that is none of the mesh. */
  readonly makePlainCluster: MakeCluster;
  readonly discovery: DiscoveryServices;
  readonly metrics: CallMetrics;
  readonly accessLog: AccessLog;
  readonly tracer: Tracer;
  readonly rates: LimitGroup;
  readonly overload: Overload;
  readonly bandwidth: BandwidthLimits;
  readonly concurrency: ConcurrencyLimits;
  readonly clock: Clock;
  readonly policies: PolicyServices;
  readonly headers: HeaderTable;
  readonly faults: Faults;
  readonly hopeless: HopelessCalls;
}

/** The upstream's name of calls that captured connections make to addresses outside of the mesh. */
const PASSED_ON = "passthrough";

interface Declared {
  readonly config: UpstreamConfig;
  readonly target: Target;
}

/**
 * Every upstream there is: those that the configuration declares, and those that callers have asked for.
 *
 * Invariants:
 * - a call asks for its route and its target when it begins, and keeps them; it asks again only where its cluster was given up
 *   while it waited, and by then all of the new configuration is in force;
 * - a name keeps its cluster over every reload, and with it endpoints, connections, health and counts, for as long as calls for
 *   it may come: declared, looked up, from another source, balanced otherwise.
 */
export class Upstreams implements OutboundRules {
  private readonly options: UpstreamsOptions;
  private table: RouteTable;
  private declared = new Map<string, Declared>();
  private readonly onDemand: OnDemand;
  private readonly passthrough: Passthrough;
  private readonly passthroughHttp1: Passthrough;
  private config: Config;
  /** Clusters whose upstreams speak something else from now on. */
  private readonly replaced: Cluster[] = [];
  private lookupSource: DiscoverySource;
  readonly policies: UpstreamPolicies;
  readonly routing = new Routes();
  /** By upstream: those that Consul routes. */
  private readonly chains: ConsulChains;
  private extras = { faults: false, hopeless: false, http1: false };

  constructor(config: Config, options: UpstreamsOptions) {
    this.options = options;
    const source = (): DiscoverySource => options.sources.of("consul");
    this.chains = new ConsulChains(source, (name, declared) => this.chainSurroundings(name, declared));
    this.policies = new UpstreamPolicies(options.policies);
    this.lookupSource = options.sources.of(config.discovery.default);
    this.onDemand = this.makeOnDemand(config);
    this.config = config;
    const passthrough = (protocol?: "http1"): Passthrough =>
      new Passthrough(
        options.makePlainCluster,
        (cluster) => this.passedOn(cluster),
        options.discovery,
        options.clock,
        protocol,
      );
    this.passthrough = passthrough();
    this.passthroughHttp1 = passthrough("http1");
    this.table = this.makeTable(config);
    this.adopt(config);
  }

  get routes(): RouteTable {
    return this.table;
  }

  get http1(): boolean {
    return this.extras.http1;
  }

  target(name: string): Target | undefined {
    return this.declared.get(name)?.target;
  }

  targetFor(name: string, call: Call): Target | undefined {
    if (call.headBefore === undefined) call.headBefore = call.head;
    else {
      // Asked once more, it is routed as it came.
      call.head = call.headBefore;
      call.route = "";
    }
    return this.routing.of(name)?.choose(call) ?? this.target(name);
  }

  lookup(name: string): Resolution {
    return this.onDemand.lookup(name);
  }

  elsewhere(destination: Address, protocol: Call["protocol"]): Resolution | undefined {
    for (const [name, { target }] of this.declared)
      for (const cluster of this.clustersFor(name, target))
        if (hasEndpoint(cluster, destination)) return { kind: "target", target };
    if (this.config.egress === "declared") return undefined;
    const problem = onwardProblem(this.config, "outbound", destination, this.options.discovery.own());
    if (problem !== undefined) return undefined;
    return (protocol === "http1" ? this.passthroughHttp1 : this.passthrough).resolve(destination);
  }

  /** The declared upstream that speaks TCP and has an endpoint at an address. */
  tcpAt(address: Address): string | undefined {
    for (const [name, { target }] of this.declared)
      if (target.sockets?.protocol === "tcp" && hasEndpoint(target.cluster, address)) return name;
    return undefined;
  }

  /** The declared upstream that speaks TCP and has a host or a name. */
  tcpNamed(host: string): string | undefined {
    const route = this.table.matchAuthority(host);
    const isTcp = route.kind === "upstream" && this.target(route.name)?.sockets?.protocol === "tcp";
    return isTcp ? route.name : undefined;
  }

  /** Whether a declared upstream has an endpoint at an address. */
  isDeclared(address: Address): boolean {
    for (const cluster of this.declaredClusters()) if (hasEndpoint(cluster, address)) return true;
    return false;
  }

  /** Goes over to another configuration; the sources have done so before. */
  apply(config: Config): void {
    this.config = config;
    this.onDemand.limits = config.names.onDemand;
    this.lookupSource = this.options.sources.of(config.discovery.default);
    this.table = this.makeTable(config);
    const given = this.adopt(config);
    // From here on calls that wait may ask again where they go.
    if (!isRegistry(this.lookupSource.kind)) this.onDemand.clear();
    for (const cluster of this.onDemand.held()) follow(cluster, this.lookupSource);
    for (const cluster of given) cluster.close();
  }

  /** What is to be known of the upstreams that the configuration names: before there is any call, or whenever it comes. */
  *needed(startup: UpstreamConfig["startup"]): IterableIterator<Expected> {
    for (const [name, { config, target }] of this.declared) {
      if (config.startup !== startup) continue;
      yield target.cluster;
      const chain = this.chains.of(name);
      if (chain === undefined) continue;
      yield chain;
      yield* chain.required();
    }
  }

  /** Clusters that exist: the declared ones, those that Consul's chains lead to, and looked-up ones with an instance. */
  *clusters(): IterableIterator<Cluster> {
    yield* this.declaredClusters();
    yield* this.onDemand.clusters();
  }

  /** How Consul routes the upstreams that it routes. */
  consulChains(): IterableIterator<UpstreamChain> {
    return this.chains.all();
  }

  close(): void {
    this.onDemand.clear();
    this.passthrough.close();
    this.passthroughHttp1.close();
    this.chains.close();
    for (const { target } of this.declared.values()) target.cluster.close();
    this.policies.close();
  }

  /** Takes the upstreams of a configuration; returns the clusters that nobody asks for any more. */
  private adopt(config: Config): Cluster[] {
    const before = this.declared;
    const extras = extrasOf(config);
    const same = isDeepStrictEqual(extras, this.extras);
    this.extras = extras;
    const zone = config.service?.meta.zone;
    this.declared = new Map();
    for (const [name, upstream] of config.upstreams) {
      this.declared.set(name, {
        config: upstream,
        target: this.targetOf(name, upstream, zone, before.get(name), same),
      });
      before.delete(name);
    }
    for (const [name, { config: upstream, target }] of this.declared) {
      const policy = policyOf(upstream, zone);
      target.cluster.usePolicy(this.chains.of(name)?.ownPolicy(policy) ?? policy);
      target.cluster.useFailover(this.clustersOf(upstream.failover));
      target.cluster.limitConnections(upstream.limits?.maxConnections);
      follow(target.cluster, this.options.sources.of(upstream.discovery), lookupOf(upstream, target.name));
    }
    this.chains.apply(this.declared);
    const { headers, clock, policies } = this.options;
    this.routing.apply(config.routes, {
      headers,
      clock,
      log: policies.log,
      random: policies.random,
      target: (name) => this.target(name),
      targetOfRoute: (name, route) => this.targetOfRoute(name, route),
    });
    const retries = [...config.upstreams.values(), ...config.routes].map(({ retry }) => retry?.descriptors);
    this.policies.keepDescriptors(new Set(retries));
    const given = this.replaced.splice(0);
    for (const [name, { target }] of before) {
      this.policies.free(name);
      if (this.lookUpInstead(name, target.cluster)) continue;
      this.options.metrics.free("outbound", name);
      given.push(target.cluster);
    }
    return given;
  }

  /** `same`: what is no upstream's own business but part of its filters is as it was. */
  private targetOf(
    name: string,
    config: UpstreamConfig,
    zone: string | undefined,
    old: Declared | undefined,
    same: boolean,
  ): Target {
    // A name that callers used before it was declared keeps what they have found out of it.
    const known = old?.target.cluster ?? this.onDemand.release(name);
    if (old !== undefined && same && isDeepStrictEqual(old.config, config)) return old.target;
    const source = this.options.sources.of(config.discovery);
    const protocol = socketsOf(config)?.protocol;
    // Connections of one protocol are of no use for another.
    const kept = known?.protocol === protocol ? known : undefined;
    if (kept === undefined && known !== undefined) this.replaced.push(known);
    return this.makeTarget(
      kept ?? this.options.makeCluster(name, source, policyOf(config, zone), lookupOf(config, name), name, protocol),
      config,
    );
  }

  /** An upstream under what a route says otherwise: it is the same one, with its connections, health, breaker and counts. */
  private targetOfRoute(name: string, { timeout, retry }: RouteConfig): Target | undefined {
    const declared = this.declared.get(name);
    if (declared === undefined || (timeout === undefined && retry === undefined)) return declared?.target;
    const { config, target } = declared;
    const { policies } = this;
    const state = policies.of(name);
    const own = retry === undefined || state === undefined ? target.retry : policies.makeRetry(retry, state);
    return {
      ...target,
      filters: this.filtersOf(name, target.series, { ...config, timeout: timeout ?? config.timeout }),
      retry: own,
    };
  }

  /** A name that is no longer declared may be used all the same. */
  private lookUpInstead(name: string, cluster: Cluster): boolean {
    const route = this.table.matchAuthority(name);
    if (cluster.protocol !== undefined) return false;
    if (route.kind !== "lookup" || route.name !== name || !this.onDemand.adopt(name, cluster)) return false;
    cluster.usePolicy(defaultPolicy);
    cluster.useFailover([]);
    return true;
  }

  private chainSurroundings(name: string, { config, target }: Declared): ChainSurroundings {
    const { headers, discovery, makeCluster, sources } = this.options;
    const { clock, log, random } = discovery;
    const sourceFor = (lookup: string | undefined): DiscoverySource =>
      sources.of(lookup === undefined ? "static" : "consul");
    return {
      config,
      target,
      policy: policyOf(config, this.config.service?.meta.zone),
      failover: this.clustersOf(config.failover),
      headers,
      clock,
      log,
      random,
      makeCluster: (label, lookup, own) => {
        const cluster = makeCluster(label, sourceFor(lookup), own, lookup, name);
        cluster.limitConnections(config.limits?.maxConnections);
        return cluster;
      },
      follow: (cluster, lookup) => follow(cluster, sourceFor(lookup), lookup),
      filters: (timeout) => this.filtersOf(name, target.series, { ...config, timeout }),
      retry: (retry) => {
        const state = this.policies.of(name);
        return state && this.policies.makeRetry(retry, state);
      },
    };
  }

  private *declaredClusters(): IterableIterator<Cluster> {
    for (const [name, { target }] of this.declared) yield* this.clustersFor(name, target);
  }

  /** Where calls of a declared upstream may go. */
  private *clustersFor(name: string, target: Target): IterableIterator<Cluster> {
    yield target.cluster;
    const chain = this.chains.of(name);
    if (chain !== undefined) yield* chain.own();
  }

  private clustersOf(names: readonly string[]): Cluster[] {
    return names.map((name) => this.declared.get(name)?.target.cluster).filter((cluster) => cluster !== undefined);
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
      cluster: (name: string) => makeCluster(name, this.lookupSource, defaultPolicy),
      target: (cluster: Cluster) => this.makeTarget(cluster),
      forget: (target: Target) => metrics.free("outbound", target.name),
    };
    return new OnDemand(config.names.onDemand, host, clock);
  }

  /** All addresses have one series: whoever is called can be anybody. */
  private passedOn(cluster: Cluster): Target {
    const { metrics, accessLog, rates, tracer, overload } = this.options;
    const series = metrics.upstream("outbound", PASSED_ON);
    return {
      name: PASSED_ON,
      cluster,
      sockets: cluster.protocol && { protocol: cluster.protocol, idle: IDLE },
      series,
      filters: routeFilters({ series, accessLog, timeout: undefined, concurrency: undefined, rates, tracer, overload }),
    };
  }

  /** `config`: where it is declared. */
  private makeTarget(cluster: Cluster, config?: UpstreamConfig): Target {
    const { name } = cluster;
    const series = this.options.metrics.upstream("outbound", name);
    const { retry, breakers } = (config && this.policies.apply(name, config, cluster)) ?? {};
    const filters = this.filtersOf(name, series, config);
    const other = config?.circuitBreaker?.fallback?.upstream;
    const fallback = other === undefined ? undefined : (): Target | undefined => this.target(other);
    const onward: Onward | undefined =
      config?.routing === "consul"
        ? { resolve: (call, base) => this.chains.of(name)?.resolve(call, base) ?? { kind: "target", target: base } }
        : undefined;
    const streams = config?.streams && streamAge(config.streams, this.options.policies.random);
    const sockets = config && socketsOf(config);
    return {
      name,
      cluster,
      series,
      filters,
      retry,
      breakers,
      fallback,
      bandwidth: config?.bandwidth && this.options.bandwidth.of("outbound", name),
      idleTimeout: config?.idleTimeout,
      streams,
      onward,
      sockets,
    };
  }

  private filtersOf(name: string, series: Target["series"], config: UpstreamConfig | undefined): FilterChain {
    const { accessLog, tracer, overload, rates, faults, hopeless, concurrency } = this.options;
    const limited = config?.adaptiveConcurrency !== undefined;
    return routeFilters({
      series,
      accessLog,
      tracer,
      timeout: config?.timeout,
      admission: config && this.policies.of(name)?.admission,
      calls: config && this.policies.of(name)?.calls,
      concurrency: limited ? concurrency.of("outbound", name) : undefined,
      rates,
      overload,
      faults: config === undefined || this.extras.faults ? faults : undefined,
      hopeless: config === undefined || this.extras.hopeless ? hopeless : undefined,
    });
  }
}

/** Filters that calls of declared upstreams have only where there is something for them to do. */
function extrasOf({ faults, deadlines, upstreams }: Config): { faults: boolean; hopeless: boolean; http1: boolean } {
  return {
    http1: [...upstreams.values()].some(({ protocol }) => protocol === "http1"),
    faults: faults.some(({ direction }) => direction === "outbound"),
    hopeless: deadlines.refuseHopeless === "onRequest",
  };
}

/** How long a connection may carry nothing, in milliseconds. */
const IDLE = 3_600_000;

/** What is said of connections that carry one call each; undefined: it is HTTP/2. */
export function socketsOf({
  protocol,
  idleTimeout,
}: Pick<UpstreamConfig, "protocol" | "idleTimeout">): SocketTarget | undefined {
  return protocol === "http1" || protocol === "tcp" ? { protocol, idle: idleTimeout ?? IDLE } : undefined;
}

function hasEndpoint(cluster: Cluster, address: Address): boolean {
  const wanted = formatAddress(address);
  for (const { label } of cluster.endpoints) if (label === wanted) return true;
  return false;
}

/** Has a cluster ask a source from now on. */
function follow(cluster: Cluster, source: DiscoverySource, lookup = cluster.name): void {
  if (cluster.source !== source.kind || cluster.lookup !== lookup)
    cluster.useSource(source.kind, source.subscribe(lookup), lookup);
}

/** How the source of an upstream calls it. */
function lookupOf({ discovery, consul }: UpstreamConfig, name: string): string {
  if (discovery !== "consul" || consul === undefined) return name;
  const { query, service = name, datacenter } = consul;
  return consulName(query === undefined ? { kind: "service", service, datacenter } : { kind: "query", query });
}

function streamAge(
  { methods, maxAge, jitter, status }: NonNullable<UpstreamConfig["streams"]>,
  random: () => number,
): StreamAgePolicy {
  const patterns = methods.map(matchMethod);
  return {
    applies: (path) => patterns.some((matches) => matches(path)),
    maxAge,
    jitter,
    status: statusOf(status),
    random,
  };
}
