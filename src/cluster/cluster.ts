import { isDeepStrictEqual } from "node:util";
import { ToldOnce } from "../core/told-once.ts";
import { Watch } from "../core/watch.ts";
import type { Discovered, DiscoverySource, EndpointSpec, Subscription } from "../discovery/source.ts";
import type { Call } from "../http/call.ts";
import { ConnectionLives, type ConnectionTerms } from "../net/connection-life.ts";
import type { AttemptReport } from "./attempt-report.ts";
import type { PickContext } from "./balancer.ts";
import { ConnectRaces } from "./choice/connect-race.ts";
import { Selection } from "./choice/selection.ts";
import { Endpoint, type EndpointHost, type EndpointOptions } from "./endpoint.ts";
import { EndpointSet } from "./endpoint-set.ts";
import { conditionOf, type EndpointStats, statsOf } from "./endpoint-stats.ts";
import { OutlierDetection } from "./health/outlier-detection.ts";
import { type BiasSettings, LoadBias } from "./load-bias.ts";
import type { EndpointNews } from "./news.ts";
import { type NoneReason, noneOf } from "./none-reason.ts";
import { type ClusterPolicy, defaultBias, defaultPolicy } from "./policy.ts";
import type { PoolServices } from "./pool/connection-pool.ts";
import { defaultPoolOptions, type PoolOptions, type SocketsOptions } from "./pool/pool-options.ts";
import { Skew } from "./skew.ts";
import { Weights, type WeightsHost } from "./weights.ts";

/** What a cluster is made of; what a reload may change of it is in `policy`. */
export interface ClusterOptions {
  readonly name: string;
  /** Where the endpoints come from, for people. */
  readonly source: DiscoverySource["kind"];
  /** How its source calls it; its name where that is left out. */
  readonly lookup?: string;
  /** The defaults where it is left out. */
  readonly policy?: ClusterPolicy;
  readonly pool?: Partial<PoolOptions>;
  /** Milliseconds at most between two tries to reach an endpoint that is out; 10 s by default. */
  readonly probeCap?: number;
  /** Tells other threads what this one has found out. */
  readonly tell?: ((news: EndpointNews) => void) | undefined;
  /** The identity that this sidecar has, for calls of the application beside it. */
  readonly identity?: () => string | undefined;
}

const NO_SPECS: readonly EndpointSpec[] = [];

/**
 * The endpoints of one service: what discovery says of them, which of them can be reached, and who gets the next call.
 *
 * Invariants:
 * - an endpoint is matched by id over every answer of discovery, so it keeps its connections, health and counters;
 * - `selection` knows exactly the endpoints that are usable, at any time: it is told in the tick in which one goes out or comes;
 * - endpoints that left are kept in `leaving` until their last connection is gone, and get no more calls.
 */
export class Cluster implements WeightsHost, EndpointHost {
  // --- immutable ---
  readonly name: string;
  /** What discovery knows of the name; what it knew, as stale, until a source that has taken another's place answers. */
  readonly state: Watch<Discovered>;
  private readonly services: PoolServices;
  private readonly options: EndpointOptions;
  /** What the pools of all endpoints read their limit from. */
  private readonly pool: { maxConnections: number } & PoolOptions;
  /** Of the connections to its endpoints. */
  readonly lives: ConnectionLives;

  // --- where endpoints come from ---
  /** How the source calls it. */
  lookup: string;
  private kind: DiscoverySource["kind"];
  private subscription: Subscription;
  private stopWatching: () => void = () => {};

  // --- endpoints ---
  private readonly byId = new Map<string, Endpoint>();
  private readonly leaving = new Set<Endpoint>();
  /** Answers of discovery that were another list than before. */
  changes = 0;
  private specs: readonly EndpointSpec[] = NO_SPECS;
  private policy: ClusterPolicy;
  private readonly selection: Selection;
  private readonly races: ConnectRaces;
  private readonly detection: OutlierDetection<Endpoint>;
  private readonly skewed = new Skew();
  private readonly tell: ((news: EndpointNews) => void) | undefined;
  private refused = 0;
  /** What changes now does so on the word of another thread. */
  private hearing = false;
  private readonly weights: Weights;
  /** Clusters that get the calls that this one has nobody for. */
  private failover: readonly Cluster[] = [];
  /** As the pickers have it, for whoever asks why; made when a call records it. */
  private set: EndpointSet | undefined = undefined;
  private readonly waiting = new ToldOnce();
  private closed = false;

  constructor(options: ClusterOptions, subscription: Subscription, services: PoolServices) {
    this.name = options.name;
    this.tell = options.tell;
    this.kind = options.source;
    this.lookup = options.lookup ?? options.name;
    this.policy = options.policy ?? defaultPolicy;
    this.subscription = subscription;
    this.state = new Watch(subscription.state.current);
    this.services = { ...services, log: services.log.child({ upstream: options.name }) };
    this.lives = new ConnectionLives(termsOf(this.policy), services.clock, services.random);
    this.pool = { ...defaultPoolOptions, lives: this.lives, ...options.pool };
    this.options = { pool: this.pool, probeCap: options.probeCap ?? 10_000 };
    const { loop, clock, random } = services;
    this.weights = new Weights(this, clock);
    this.races = new ConnectRaces(clock);
    this.selection = new Selection(
      this.policy,
      random,
      () => loop.now(),
      (first, order, won) => this.races.begin(first, order, won),
      options.identity,
    );
    this.detection = new OutlierDetection(this.policy.outlierDetection, this, clock, this.services.log);
    this.follow();
  }

  /** What its endpoints speak, where that is not HTTP/2. */
  get protocol(): SocketsOptions["protocol"] | undefined {
    return this.services.sockets?.protocol;
  }

  get source(): DiscoverySource["kind"] {
    return this.kind;
  }

  /** The endpoints of the service, whether or not they can be reached. */
  get endpoints(): IterableIterator<Endpoint> {
    return this.byId.values();
  }

  get size(): number {
    return this.byId.size;
  }

  /** Attempts under way at its endpoints, those that are leaving included. */
  get activeCalls(): number {
    let active = 0;
    for (const { inFlight } of this.byId.values()) active += inFlight;
    for (const { inFlight } of this.leaving) active += inFlight;
    return active;
  }

  /** Milliseconds for a connection to be made; undefined: the default. */
  get connectTimeout(): number | undefined {
    return this.policy.connectTimeout;
  }

  get balancerName(): string {
    return this.policy.balancer.name;
  }

  /** Whether there is nothing to wait for: discovery has answered once, or will not be asked any more. */
  get known(): boolean {
    return this.closed || this.state.current.kind === "known";
  }

  /** Whether it was given up: its upstream is no longer configured, or is another one. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** The endpoint for a call, or undefined: `noneReason` says why. */
  pick(context: PickContext): Endpoint | undefined {
    const found = this.own(context);
    return this.failover.length > 0 ? this.orElsewhere(context, found) : (found ?? this.lastResort(context));
  }

  private orElsewhere(context: PickContext, found: Endpoint | undefined): Endpoint | undefined {
    if (this.isExpected || (found !== undefined && context.tried?.includes(found) !== true)) return found;
    for (const cluster of this.failover) {
      const other = cluster.own(context);
      if (other !== undefined && context.tried?.includes(other) !== true) return other;
    }
    return found ?? this.lastResort(context);
  }

  /** Its source has not had the time to answer: nobody else takes its calls for that. */
  private get isExpected(): boolean {
    const { current } = this.state;
    return current.kind === "pending" && current.error === undefined;
  }

  /** What `pick` chooses from now, for whoever asks later why a call went where it did. */
  get candidates(): EndpointSet {
    if (this.set === undefined) {
      const { balancer, subsets } = this.policy;
      this.set = new EndpointSet(this.byId.values(), { balancer: balancer.name, subsets, panic: this.panic });
    }
    return this.set;
  }

  /** Whether there is an endpoint that may be picked besides one and those that were tried. */
  hasOther(tried: readonly Endpoint[] | undefined, besides: Endpoint): boolean {
    for (const endpoint of this.byId.values())
      if (endpoint !== besides && this.selection.mayGet(endpoint) && tried?.includes(endpoint) !== true) return true;
    return this.failover.some((cluster) => cluster.hasOther(tried, besides));
  }

  /** Why `pick` gave nothing. */
  noneReason(call?: Call): NoneReason {
    const discovered = this.state.current;
    if (this.closed) return { reason: "NO_ENDPOINTS", detail: `upstream ${this.name} is no longer configured` };
    if (discovered.kind === "pending") {
      const why = discovered.error === undefined ? "" : `: ${discovered.error}`;
      return { reason: "NO_ENDPOINTS", detail: `${this.source} has not answered for ${this.name} yet${why}` };
    }
    const found = noneOf(this.name, [...this.byId.values()], this.selection, call);
    const beside =
      this.failover.length === 0 ? "" : `, nor is there one of ${this.failover.map(({ name }) => name).join(", ")}`;
    if (found !== undefined) return { ...found, detail: found.detail + beside };
    const stale =
      discovered.staleSince === undefined ? "" : `, and no longer answers: ${discovered.error ?? "unknown"}`;
    return { reason: "NO_ENDPOINTS", detail: `${this.source} knows no instance of ${this.name}${stale}${beside}` };
  }

  /** Calls back once discovery has answered for the first time, at once where it has. Returns what gives it up. */
  whenKnown(callback: () => void): () => void {
    if (this.known) {
      callback();
      return () => {};
    }
    return this.waiting.add(callback);
  }

  /** Asks another source from now on. Endpoints stay until it has answered, and those that it knows as well stay after that. */
  useSource(kind: DiscoverySource["kind"], subscription: Subscription, lookup = this.name): void {
    this.stopWatching();
    this.subscription.close();
    this.kind = kind;
    this.lookup = lookup;
    this.subscription = subscription;
    this.follow();
  }

  /** Chooses and judges by another policy from now on; endpoints, their connections and their health stay. */
  usePolicy(policy: ClusterPolicy): void {
    const before = this.policy;
    if (isDeepStrictEqual(policy, before)) return;
    this.policy = policy;
    this.selection.use(policy);
    this.lives.renew(termsOf(policy));
    const checks = !isDeepStrictEqual(policy.healthCheck, before.healthCheck);
    for (const endpoint of this.byId.values()) {
      this.equip(endpoint);
      if (checks) endpoint.watchHealth(policy.healthCheck);
    }
    this.detection.use(policy.outlierDetection);
    this.rebuild();
  }

  /** Gives the calls that this cluster has nobody for to these, in their order. */
  useFailover(clusters: readonly Cluster[]): void {
    this.failover = clusters;
  }

  /** Calls that endpoints refused as too many; undefined where it makes no difference to how many they get. */
  get overLimit(): number | undefined {
    return this.policy.loadBias && this.refused;
  }

  get failoverNames(): readonly string[] {
    return this.failover.map(({ name }) => name);
  }

  /** Connections to each endpoint at once from now on; those that are too many end when they are idle. */
  limitConnections(most = defaultPoolOptions.maxConnections): void {
    this.pool.maxConnections = most;
  }

  stats(): EndpointStats[] {
    const now = this.services.clock.now();
    return [...this.byId.values(), ...this.leaving].map((endpoint) => statsOf(endpoint, this.policy.slowStart, now));
  }

  /** How many endpoints are in which state. */
  conditions(): Map<string, number> {
    const now = this.services.clock.now();
    // That none is up has to be said: an alert is made of it.
    const counts = new Map<string, number>([["up", 0]]);
    for (const endpoint of this.byId.values()) {
      const word = conditionOf(endpoint, this.policy.slowStart, now);
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    return counts;
  }

  /** So few endpoints are usable that health is ignored. */
  get panic(): boolean {
    return this.selection.panic;
  }

  /** Ejections so far, by cause, and how many the bound did not allow. */
  get ejections(): { readonly byCause: ReadonlyMap<string, number>; readonly suppressed: number } {
    return { byCause: this.detection.ejections, suppressed: this.detection.suppressed };
  }

  /** How uneven calls are spread: those of the endpoint with the most for its weight, as a multiple of the mean. */
  get skew(): number | undefined {
    return this.skewed.read([...this.byId.values()], this.services.clock.now());
  }

  /** Gives the subscription back and takes no more calls; connections end with their last stream. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.weights.stop();
    this.races.close();
    this.detection.close();
    this.stopWatching();
    this.subscription.close();
    this.reconcile(NO_SPECS);
    this.waiting.tell();
  }

  /** Closes, and ends what is left now: streams are told that they are lost. */
  terminate(reason: string): void {
    this.close();
    for (const endpoint of [...this.leaving]) endpoint.pool.close(reason);
  }

  connected(endpoint: Endpoint): void {
    this.races.stands(endpoint);
  }

  reachabilityChanged(endpoint: Endpoint): void {
    if (endpoint.reachable) {
      this.cameFresh(endpoint);
      // Its process may be another one: a call may find that out at once.
      this.detection.cameBack(endpoint);
    }
    this.detection.keepBound();
    this.rebuild();
  }

  checkChanged(endpoint: Endpoint): void {
    const { checked, label } = endpoint;
    const { log } = this.services;
    if (checked.kind === "unhealthy") log.warn({ endpoint: label }, `${label} is unhealthy: ${checked.detail}`);
    else log.info({ endpoint: label }, `${label} is healthy`);
    this.tellOthers({ kind: "checked", endpoint: label, state: checked });
    if (checked.kind === "healthy") this.cameFresh(endpoint);
    this.detection.keepBound();
    this.rebuild();
  }

  weightsChanged(): void {
    this.rebuild();
  }

  ejectionChanged(endpoint: Endpoint): void {
    this.rebuild();
    const { outlier, label } = endpoint;
    if (outlier.state.kind === "in") this.tellOthers({ kind: "letIn", endpoint: label });
    else if (outlier.state.kind === "ejected") {
      const { cause, detail, until } = outlier.state;
      this.tellOthers({ kind: "ejected", endpoint: label, cause, detail, until });
    }
  }

  /** Another thread has found out something of an endpoint. */
  hear(news: EndpointNews): void {
    this.hearing = true;
    for (const endpoint of this.byId.values()) {
      if (endpoint.label !== news.endpoint) continue;
      if (news.kind === "checked") endpoint.hearHealth(news.state);
      else this.detection.obey(endpoint, news.kind === "letIn" ? "letIn" : news);
    }
    this.hearing = false;
  }

  reported(endpoint: Endpoint, report: AttemptReport): void {
    this.detection.take(endpoint, report);
    const { bias } = endpoint;
    if (bias === undefined || report.overLimit === undefined) return;
    this.refused++;
    if (bias.refused(report.overLimit, report.endedAt)) this.rebuild();
  }

  left(endpoint: Endpoint): void {
    this.leaving.delete(endpoint);
  }

  private tellOthers(news: EndpointNews): void {
    if (!this.hearing) this.tell?.(news);
  }

  private follow(): void {
    const { state, kind, subscription, services } = this;
    const hear = (discovered: Discovered): void => {
      const { current } = state;
      if (discovered.kind === "known" || current.kind === "pending") {
        state.set(discovered);
      } else {
        const staleSince = current.staleSince ?? services.clock.wall();
        state.set({ ...current, staleSince, error: discovered.error ?? `${kind} has not answered yet` });
      }
      this.take(state.current);
    };
    this.stopWatching = subscription.state.onChange(hear);
    hear(subscription.state.current);
  }

  private take(discovered: Discovered): void {
    if (discovered.kind === "pending") return;
    this.reconcile(discovered.endpoints);
    this.waiting.tell();
  }

  private reconcile(specs: readonly EndpointSpec[]): void {
    if (specs === this.specs) return;
    this.specs = specs;
    this.changes++;
    const spared = this.weights.hasWarm(this.policy.slowStart);
    const gone = new Map(this.byId);
    this.byId.clear();
    for (const spec of specs) {
      if (this.byId.has(spec.id)) continue;
      const known = gone.get(spec.id);
      const kept = known !== undefined && isDeepStrictEqual(known.address, spec.address) ? known : undefined;
      if (kept !== undefined) gone.delete(spec.id);
      kept?.update(spec);
      this.byId.set(spec.id, kept ?? this.welcome(spec, spared));
    }
    // Nobody may pick an endpoint that is about to leave, nor be told of its end before there is another.
    for (const endpoint of gone.values()) {
      this.leaving.add(endpoint);
      this.detection.left(endpoint);
    }
    this.detection.keepBound();
    this.rebuild();
    for (const endpoint of gone.values()) endpoint.leave();
  }

  private welcome(spec: EndpointSpec, spared: boolean): Endpoint {
    const endpoint = new Endpoint(spec, this.services, this.options, this);
    this.equip(endpoint);
    endpoint.watchHealth(this.policy.healthCheck);
    if (spared) endpoint.freshSince = this.services.clock.now();
    return endpoint;
  }

  private equip(endpoint: Endpoint): void {
    endpoint.keep(this.policy.balancer.needs, () => this.policy.load);
    endpoint.affinity = this.policy.affinity;
    const settings = (): BiasSettings => this.policy.loadBias ?? defaultBias;
    endpoint.bias = this.policy.loadBias && (endpoint.bias ?? new LoadBias(settings));
  }

  private cameFresh(endpoint: Endpoint): void {
    if (this.weights.hasWarm(this.policy.slowStart, endpoint)) endpoint.freshSince = this.services.clock.now();
  }

  private rebuild(): void {
    this.set = undefined;
    this.weights.update(this.policy);
    this.selection.update(this.byId.values());
    if (this.closed) this.weights.stop();
  }

  /** Of this cluster alone. */
  private own(context: PickContext): Endpoint | undefined {
    this.subscription.uses++;
    if (this.detection.halfOpen.length > 0) {
      const trial = this.detection.trial(
        this.services.loop.now(),
        (endpoint) => this.selection.mayServe(endpoint, context.call) && context.tried?.includes(endpoint) !== true,
      );
      if (trial !== undefined) return trial;
    }
    return this.selection.pick(context);
  }

  /** No endpoint is up. One that was left alone for a while is tried; a call waits for it only where that will be short. */
  private lastResort(context: PickContext): Endpoint | undefined {
    const now = this.services.clock.now();
    let found: Endpoint | undefined;
    for (const endpoint of this.byId.values()) {
      if (endpoint.tryNow(now) && found === undefined && context.tried?.includes(endpoint) !== true) found = endpoint;
    }
    return found;
  }
}

/** Calls under way on a connection that is left end as they like, and the pools end what is idle. */
function termsOf({ connections }: ClusterPolicy): ConnectionTerms {
  return { ...connections, grace: undefined, idleTimeout: undefined };
}
