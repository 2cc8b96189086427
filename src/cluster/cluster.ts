import { isDeepStrictEqual } from "node:util";
import { Watch } from "../core/watch.ts";
import type { Discovered, DiscoverySource, EndpointSpec, Subscription } from "../discovery/source.ts";
import type { Reason } from "../http/reason.ts";
import type { BalancerDefinition, PickContext, Picker } from "./balancer.ts";
import { type ConnectionStats, defaultPoolOptions, type PoolOptions, type PoolServices } from "./connection-pool.ts";
import { Endpoint, type EndpointHost, type EndpointOptions } from "./endpoint.ts";
import { EndpointSet } from "./endpoint-set.ts";

export interface ClusterOptions {
  readonly name: string;
  /** Where the endpoints come from, for people. */
  readonly source: DiscoverySource["kind"];
  readonly balancer: BalancerDefinition;
  readonly pool?: Partial<PoolOptions>;
  /** Milliseconds at most between two tries to reach an endpoint that is out; 10 s by default. */
  readonly probeCap?: number;
}

/** One endpoint, as people see it. */
export interface EndpointStats {
  readonly id: string;
  readonly address: string;
  readonly state: Endpoint["state"]["kind"];
  readonly weight: number;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
  readonly inFlight: number;
  readonly selected: number;
  readonly failures: number;
  readonly waiting: number;
  readonly connections: readonly ConnectionStats[];
  readonly lastError: string | undefined;
}

const NO_SPECS: readonly EndpointSpec[] = [];

/**
 * The endpoints of one service: what discovery says of them, which of them can be reached, and who gets the next call.
 *
 * Invariants:
 * - an endpoint is matched by id over every answer of discovery, so it keeps its connections, health and counters;
 * - `picker` knows exactly the endpoints that are up, at any time: it is replaced in the tick in which one goes out or comes;
 * - endpoints that left are kept in `leaving` until their last connection is gone, and get no more calls.
 */
export class Cluster implements EndpointHost {
  // --- immutable ---
  readonly name: string;
  /** What discovery knows of the name; what it knew, as stale, until a source that has taken another's place answers. */
  readonly state: Watch<Discovered>;
  private readonly services: PoolServices;
  private readonly options: EndpointOptions;

  // --- where endpoints come from ---
  private kind: DiscoverySource["kind"];
  private subscription: Subscription;
  private stopWatching: () => void = () => {};

  // --- endpoints ---
  private readonly byId = new Map<string, Endpoint>();
  private readonly leaving = new Set<Endpoint>();
  private specs: readonly EndpointSpec[] = NO_SPECS;
  private picker: Picker;
  /** As the picker has it, for whoever asks why; made when a call records it. */
  private set: EndpointSet | undefined = undefined;
  private balancer: BalancerDefinition;
  private readonly waiting = new Set<{ readonly callback: () => void }>();
  private closed = false;

  constructor(options: ClusterOptions, subscription: Subscription, services: PoolServices) {
    this.name = options.name;
    this.kind = options.source;
    this.balancer = options.balancer;
    this.subscription = subscription;
    this.state = new Watch(subscription.state.current);
    this.services = { ...services, log: services.log.child({ upstream: options.name }) };
    this.options = { pool: { ...defaultPoolOptions, ...options.pool }, probeCap: options.probeCap ?? 10_000 };
    this.picker = this.balancer.picker([], services.random, undefined);
    this.follow();
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

  get balancerName(): string {
    return this.balancer.name;
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
    this.subscription.uses++;
    return this.picker.pick(context) ?? this.lastResort(context);
  }

  /** What `pick` chooses from now, for whoever asks later why a call went where it did. */
  get candidates(): EndpointSet {
    this.set ??= new EndpointSet(this.byId.values(), this.balancer.name);
    return this.set;
  }

  /** Whether there is an endpoint that is up besides one and those that were tried. */
  hasOther(tried: readonly Endpoint[] | undefined, besides: Endpoint): boolean {
    for (const endpoint of this.byId.values())
      if (endpoint !== besides && endpoint.state.kind === "up" && tried?.includes(endpoint) !== true) return true;
    return false;
  }

  /** Why `pick` gave nothing. */
  noneReason(): { readonly reason: Reason; readonly detail: string } {
    const discovered = this.state.current;
    if (this.closed) return { reason: "NO_ENDPOINTS", detail: `upstream ${this.name} is no longer configured` };
    if (discovered.kind === "pending") {
      const why = discovered.error === undefined ? "" : `: ${discovered.error}`;
      return { reason: "NO_ENDPOINTS", detail: `${this.source} has not answered for ${this.name} yet${why}` };
    }
    let last: Extract<Endpoint["state"], { kind: "unreachable" }> | undefined;
    for (const { state } of this.byId.values())
      if (state.kind === "unreachable" && (last === undefined || state.failedAt > last.failedAt)) last = state;
    if (last !== undefined) {
      const { reason, message } = last.failure;
      const count = this.byId.size;
      return {
        reason,
        detail: count === 1 ? message : `none of ${count} instances can be reached, the last try: ${message}`,
      };
    }
    const stale =
      discovered.staleSince === undefined ? "" : `, and no longer answers: ${discovered.error ?? "unknown"}`;
    return { reason: "NO_ENDPOINTS", detail: `${this.source} knows no instance of ${this.name}${stale}` };
  }

  /** Calls back once discovery has answered for the first time, at once where it has. Returns what gives it up. */
  whenKnown(callback: () => void): () => void {
    if (this.known) {
      callback();
      return () => {};
    }
    const place = { callback };
    this.waiting.add(place);
    return () => this.waiting.delete(place);
  }

  /** Asks another source from now on. Endpoints stay until it has answered, and those that it knows as well stay after that. */
  useSource(kind: DiscoverySource["kind"], subscription: Subscription): void {
    this.stopWatching();
    this.subscription.close();
    this.kind = kind;
    this.subscription = subscription;
    this.follow();
  }

  /** Balances by another algorithm from now on; endpoints and their connections stay. */
  useBalancer(balancer: BalancerDefinition): void {
    if (balancer === this.balancer) return;
    this.balancer = balancer;
    this.rebuild(undefined);
  }

  stats(): EndpointStats[] {
    return [...this.byId.values(), ...this.leaving].map((endpoint) => ({
      id: endpoint.id,
      address: endpoint.label,
      state: endpoint.state.kind,
      weight: endpoint.weight,
      zone: endpoint.zone,
      meta: endpoint.meta,
      inFlight: endpoint.inFlight,
      selected: endpoint.selected,
      failures: endpoint.failures,
      waiting: endpoint.pool.waiting,
      connections: endpoint.pool.connections(),
      lastError: endpoint.lastError?.message,
    }));
  }

  /** Gives the subscription back and takes no more calls; connections end with their last stream. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopWatching();
    this.subscription.close();
    this.reconcile(NO_SPECS);
    this.tellKnown();
  }

  /** Closes, and ends what is left now: streams are told that they are lost. */
  terminate(reason: string): void {
    this.close();
    for (const endpoint of [...this.leaving]) endpoint.pool.close(reason);
  }

  reachabilityChanged(): void {
    this.rebuild(this.picker);
  }

  left(endpoint: Endpoint): void {
    this.leaving.delete(endpoint);
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
    this.tellKnown();
  }

  private tellKnown(): void {
    for (const place of [...this.waiting]) if (this.waiting.delete(place)) place.callback();
  }

  private reconcile(specs: readonly EndpointSpec[]): void {
    if (specs === this.specs) return;
    this.specs = specs;
    const gone = new Map(this.byId);
    this.byId.clear();
    for (const spec of specs) {
      if (this.byId.has(spec.id)) continue;
      const known = gone.get(spec.id);
      const kept = known !== undefined && isDeepStrictEqual(known.address, spec.address) ? known : undefined;
      if (kept !== undefined) gone.delete(spec.id);
      kept?.update(spec);
      this.byId.set(spec.id, kept ?? new Endpoint(spec, this.services, this.options, this));
    }
    // Nobody may pick an endpoint that is about to leave, nor be told of its end before there is another.
    for (const endpoint of gone.values()) this.leaving.add(endpoint);
    this.rebuild(this.picker);
    for (const endpoint of gone.values()) endpoint.leave();
  }

  private rebuild(previous: Picker | undefined): void {
    this.set = undefined;
    const up = [...this.byId.values()].filter(({ state }) => state.kind === "up");
    this.picker = this.balancer.picker(up, this.services.random, previous);
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
