import type { Logger } from "pino";
import type { Cluster } from "../../cluster/cluster.ts";
import type { ClusterPolicy } from "../../cluster/policy.ts";
import type { RetryConfig, UpstreamConfig } from "../../config/types.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { loadRegex, noRegex } from "../../core/regex.ts";
import { ToldOnce } from "../../core/told-once.ts";
import type { Chain, ChainEdits, ChainRoute, ChainTarget, ChainWay } from "../../discovery/consul/chain/chain.ts";
import { readChain } from "../../discovery/consul/chain/reader.ts";
import { consulName, consulQuestion } from "../../discovery/consul/name.ts";
import type { Discovered, Subscription } from "../../discovery/source.ts";
import type { FilterChain } from "../../filters/chain.ts";
import type { Call } from "../../http/call.ts";
import { FieldEdits, type HeadEdit, inOrder } from "../../http/field-edits.ts";
import type { HeaderTable } from "../../http/headers.ts";
import { PathRewrite } from "../../http/path-rewrite.ts";
import { compileChainMatch } from "../../proxy/chain-match.ts";
import { ChainLeg, type ChainRule, ChainRules } from "../../proxy/chain-rules.ts";
import type { RetryPolicy } from "../../proxy/retry/policy.ts";
import type { Onward, Resolution, Target } from "../../proxy/target.ts";
import { chainPolicy } from "./chain-policy.ts";
import { chainRetry } from "./chain-retry.ts";

/** What a chain is put in force with; another one with every configuration. */
export interface ChainSurroundings {
  readonly config: UpstreamConfig;
  /** What holds for the upstream without a chain. */
  readonly target: Target;
  readonly policy: ClusterPolicy;
  /** Clusters that get calls where the chain has nobody for them, too. */
  readonly failover: readonly Cluster[];
  readonly headers: HeaderTable;
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** `lookup`: undefined for a cluster without an instance. */
  readonly makeCluster: (name: string, lookup: string | undefined, policy: ClusterPolicy) => Cluster;
  /** Has a cluster ask for another lookup. */
  readonly follow: (cluster: Cluster, lookup: string | undefined) => void;
  readonly filters: (timeout: number | undefined) => FilterChain;
  readonly retry: (config: RetryConfig) => RetryPolicy | undefined;
}

/** Milliseconds for the instances of a new chain to be known before it is in force without them. */
const PATIENCE = 5000;

/**
 * How Consul routes the calls of one upstream: its discovery chain, made into clusters and rules.
 *
 * Invariants:
 * - a target keeps its cluster, and with it connections and health, for as long as a chain has it; the upstream's own cluster
 *   is the target that asks for the same instances;
 * - a new chain is in force once the instances of its targets are known, so that no call waits for a change;
 * - clusters that no chain has any more are closed when the next one is in force; their calls end as they began.
 */
export class UpstreamChain implements Onward {
  /** The upstream's. */
  readonly name: string;
  /** How the source calls the chain. */
  readonly lookup: string;
  /** The chain that was last read, in force or about to be. */
  chain: Chain | undefined = undefined;
  /** Why the last answer could not be read. */
  fault: string | undefined = undefined;
  /** Chains that were another one than before. */
  changes = 0;
  private readonly subscription: Subscription;
  private readonly stopWatching: () => void;
  private surroundings: ChainSurroundings;
  private text: string | undefined = undefined;
  private rules: ChainRules | undefined = undefined;
  /** By the id of their target; those of the chain before included until the next one is in force. */
  private clusters = new Map<string, Cluster>();
  private readonly waiting = new ToldOnce();
  private pending: (() => void) | undefined = undefined;
  /** In the rules that are in force, and in no others. */
  private readonly retired = new Set<Cluster>();
  private told: ReadonlySet<string> = new Set();
  private regex = noRegex;
  private closed = false;

  constructor(upstream: string, lookup: string, subscription: Subscription, surroundings: ChainSurroundings) {
    this.name = upstream;
    this.lookup = lookup;
    this.subscription = subscription;
    this.surroundings = surroundings;
    this.stopWatching = subscription.state.onChange((state) => this.take(state));
    this.take(subscription.state.current);
  }

  get state(): Discovered {
    return this.subscription.state.current;
  }

  /** Whether calls are routed, or would wait. */
  get known(): boolean {
    return this.rules !== undefined;
  }

  resolve(call: Call, base: Target): Resolution {
    this.subscription.uses++;
    if (this.rules !== undefined) return { kind: "target", target: this.rules.choose(call, base) };
    return {
      kind: "wait",
      what: `the first answer of consul of how ${this.name} is routed`,
      why: () => this.noneReason().detail,
      settle: (again) => this.whenKnown(again),
    };
  }

  /** Calls back once calls are routed, at once where they are. Returns what gives it up. */
  whenKnown(callback: () => void): () => void {
    if (this.known) {
      callback();
      return () => {};
    }
    return this.waiting.add(callback);
  }

  /** Why it is not known how calls are routed. */
  noneReason(): { readonly detail: string } {
    const { state } = this;
    const why = state.kind === "pending" && state.error !== undefined ? `: ${state.error}` : "";
    return { detail: `consul has not said yet how calls of ${this.name} are routed${why}` };
  }

  /** Clusters of targets other than the upstream's own. */
  *own(): IterableIterator<Cluster> {
    for (const cluster of this.clusters.values()) if (cluster !== this.surroundings.target.cluster) yield cluster;
  }

  /** Clusters that calls go to as long as nothing is wrong. */
  *required(): IterableIterator<Cluster> {
    for (const id of this.chain === undefined ? [] : primaries(this.chain)) {
      const cluster = this.clusters.get(id);
      if (cluster !== undefined) yield cluster;
    }
  }

  clusterOf(target: string): Cluster | undefined {
    return this.clusters.get(target);
  }

  /** What of the chain is not obeyed. */
  get problems(): readonly string[] {
    const { config } = this.surroundings;
    const retries = (this.chain?.routes ?? []).filter(({ retry }) => retry !== undefined);
    const unproven = config.retry === undefined ? retries : [];
    return [
      ...(this.fault === undefined ? [] : [this.fault]),
      ...(this.chain?.problems ?? []),
      ...unproven.map(
        ({ name }) =>
          `service-router ${this.name}: ${name}.Destination.NumRetries: upstreams.${this.name}.retry declares no idempotent method, so only calls that provably were not processed are made again`,
      ),
    ];
  }

  /** How the upstream's own cluster chooses, where it would by itself by this. */
  ownPolicy(policy: ClusterPolicy): ClusterPolicy {
    const { lookup } = this.surroundings.target.cluster;
    for (const target of this.chain?.targets.values() ?? [])
      if (target.lookup === lookup) return chainPolicy(policy, target);
    return policy;
  }

  /** Another configuration is in force. */
  apply(surroundings: ChainSurroundings): void {
    this.surroundings = surroundings;
    if (this.chain === undefined) return;
    this.build(this.chain);
    this.tellProblems();
  }

  /** Gives everything back; calls under way end as they began. */
  close(): void {
    this.closed = true;
    this.stopWatching();
    this.subscription.close();
    this.pending?.();
    for (const cluster of [...this.own(), ...this.retired]) cluster.close();
    this.clusters.clear();
    this.waiting.tell();
  }

  private take(state: Discovered): void {
    if (state.kind === "pending" || state.routing === undefined || state.routing === this.text) return;
    if (this.regex === noRegex && state.routing.includes('Regex"')) {
      void this.loadRegex();
      return;
    }
    const question = consulQuestion(this.lookup);
    const datacenter = question.kind === "chain" ? question.datacenter : undefined;
    const chain = readChain(state.routing, { datacenter, regex: this.regex });
    this.text = state.routing;
    // The source reads it before, so that this is one of another version of ours.
    this.fault = typeof chain === "string" ? `the discovery chain: ${chain}` : undefined;
    if (typeof chain === "string") return;
    this.chain = chain;
    this.changes++;
    this.build(chain);
    const { routes, targets } = chain;
    const what = chain.isDefault ? "as they are" : `by ${routes.length} routes to ${targets.size} targets`;
    this.surroundings.log.info({ upstream: this.name }, `consul routes calls of ${this.name} ${what}`);
    this.tellProblems();
  }

  private async loadRegex(): Promise<void> {
    this.regex = await loadRegex();
    if (!this.closed) this.take(this.state);
  }

  private build(chain: Chain): void {
    this.pending?.();
    const { log, random } = this.surroundings;
    for (const [id, target] of chain.targets) this.clusters.set(id, this.clusterFor(id, target));
    for (const [id, target] of chain.targets) this.clusters.get(id)?.useFailover(this.failoverOf(id, target));
    const rules = new ChainRules(
      chain.routes.map((route) => this.ruleOf(route, chain)),
      random,
    );
    const put = (): void => {
      this.pending = undefined;
      this.rules = rules;
      this.dropOthers(chain);
      this.waiting.tell();
    };
    const unknown = [...this.required()].filter((cluster) => !cluster.known);
    // Before the first one calls wait as they do for endpoints.
    if (this.rules === undefined || unknown.length === 0) {
      put();
      return;
    }
    let left = unknown.length;
    const stops = unknown.map((cluster) => cluster.whenKnown(() => --left === 0 && finish()));
    const timer: Timer = this.surroundings.clock.setTimer(PATIENCE, () => {
      log.warn({ upstream: this.name }, `consul routes ${this.name} to targets of which nothing is known yet`);
      finish();
    });
    const stop = (): void => {
      timer.cancel();
      for (const each of stops) each();
    };
    const finish = (): void => {
      stop();
      put();
    };
    this.pending = stop;
  }

  private clusterFor(id: string, target: ChainTarget): Cluster {
    const { surroundings } = this;
    const own = surroundings.target.cluster;
    const policy = chainPolicy(surroundings.policy, target);
    const known = this.clusters.get(id);
    if (target.lookup === own.lookup) {
      if (known !== undefined && known !== own) this.retired.add(known);
      own.usePolicy(policy);
      return own;
    }
    const name = `${this.name}/${target.label}`;
    if (known === undefined || known === own) return surroundings.makeCluster(name, target.lookup, policy);
    surroundings.follow(known, target.lookup);
    known.usePolicy(policy);
    known.limitConnections(surroundings.config.limits?.maxConnections);
    return known;
  }

  private failoverOf(id: string, target: ChainTarget): Cluster[] {
    const others = target.failover.filter((other) => other !== id).map((other) => this.clusters.get(other));
    return [...others.filter((cluster) => cluster !== undefined), ...this.surroundings.failover];
  }

  private ruleOf(route: ChainRoute, chain: Chain): ChainRule {
    return {
      name: route.name,
      matches: compileChainMatch(route.match, this.regex),
      ways: route.ways.map((way) => ({ share: way.share, to: this.legOf(route, way, chain.targets.get(way.target)) })),
    };
  }

  private legOf(route: ChainRoute, way: ChainWay, to: ChainTarget | undefined): ChainLeg {
    const { config, target, filters, retry, headers } = this.surroundings;
    const cluster = this.clusters.get(way.target) ?? target.cluster;
    const said = route.timeout ?? to?.requestTimeout;
    const timeout = said === Number.POSITIVE_INFINITY ? undefined : (said ?? config.timeout);
    const ownFilters = timeout === config.timeout ? target.filters : filters(timeout);
    const idleTimeout =
      route.idleTimeout === Number.POSITIVE_INFINITY ? undefined : (route.idleTimeout ?? target.idleTimeout);
    const ownRetry =
      route.retry === undefined || config.retry === undefined
        ? target.retry
        : retry(chainRetry(config.retry, route.retry));
    const response = inOrder(editOf(headers, way.response), editOf(headers, route.response));
    const make = (base: Target): Target => ({
      ...base,
      cluster,
      idleTimeout,
      // What a route of the configuration says goes before what Consul does.
      filters: base.filters === target.filters ? ownFilters : base.filters,
      retry: base.retry === target.retry ? ownRetry : base.retry,
      response: inOrder(response, base.response),
      onward: undefined,
    });
    const edits = [editOf(headers, way.request), editOf(headers, route.request), rewriteOf(headers, route)];
    return new ChainLeg(make, inOrder(...edits));
  }

  private dropOthers(chain: Chain): void {
    for (const [id, cluster] of this.clusters) {
      if (chain.targets.has(id)) continue;
      this.clusters.delete(id);
      if (cluster !== this.surroundings.target.cluster) this.retired.add(cluster);
    }
    for (const cluster of this.retired) cluster.close();
    this.retired.clear();
  }

  private tellProblems(): void {
    const { problems, told } = this;
    const { log } = this.surroundings;
    for (const problem of problems)
      if (!told.has(problem)) log.warn({ upstream: this.name }, `consul's routing is not obeyed in part: ${problem}`);
    this.told = new Set(problems);
  }
}

/** How the source calls the chain of an upstream. */
export function chainLookupOf({ consul }: UpstreamConfig, upstream: string): string {
  return consulName({ kind: "chain", service: consul?.service ?? upstream, datacenter: consul?.datacenter });
}

/** Targets that calls go to where nothing stands in for them. */
function primaries({ routes }: Chain): Set<string> {
  return new Set(routes.flatMap(({ ways }) => ways.map(({ target }) => target)));
}

function editOf(headers: HeaderTable, edits: ChainEdits): HeadEdit | undefined {
  const nothing = edits.set.size + edits.add.size + edits.remove.length === 0;
  return nothing ? undefined : new FieldEdits(headers, edits);
}

function rewriteOf(headers: HeaderTable, { rewrite, match: { path } }: ChainRoute): HeadEdit | undefined {
  if (rewrite === undefined) return undefined;
  return new PathRewrite(headers, rewrite, path?.kind === "prefix" ? path.text.length : undefined);
}
