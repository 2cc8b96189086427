import { type Address, formatAddress } from "../core/address.ts";
import { Backoff } from "../core/backoff.ts";
import type { Timer } from "../core/clock.ts";
import type { EndpointSpec } from "../discovery/source.ts";
import type { Call } from "../http/call.ts";
import type { ConnectFailure } from "../net/connect-failure.ts";
import type { AttemptReport } from "./attempt-report.ts";
import { type AffinitySettings, type SessionField, sessionField, tokenIn, tokenOf } from "./choice/affinity.ts";
import { ActiveCheck, type Checked, type CheckState } from "./health/active-check.ts";
import type { CheckSettings } from "./health/check.ts";
import type { Judged } from "./health/outlier-detection.ts";
import { OutlierRecord } from "./health/record.ts";
import { PeakLatency } from "./latency.ts";
import type { LoadBias } from "./load-bias.ts";
import { type LoadSettings, LoadWeight } from "./load-weight.ts";
import { ConnectionPool, type PoolServices } from "./pool/connection-pool.ts";
import type { Pool, PoolWatcher } from "./pool/pool.ts";
import type { PoolOptions } from "./pool/pool-options.ts";
import { SocketPool } from "./pool/socket-pool.ts";

/** Whether an endpoint can be reached, as far as connecting has shown. */
export type EndpointState =
  | { readonly kind: "up" }
  /** Connecting failed: not picked until a connection stands again. */
  | {
      readonly kind: "unreachable";
      readonly failure: ConnectFailure;
      /** Milliseconds since the Unix epoch of the first failure in a row. */
      readonly since: number;
      /** Milliseconds of the clock of the last one. */
      readonly failedAt: number;
    }
  /** No longer in the service: its last streams are ending. */
  | { readonly kind: "leaving" };

/** What is the same for all endpoints of a cluster. */
export interface EndpointOptions {
  readonly pool: PoolOptions;
  /** Milliseconds at most between two tries to reach an endpoint that is out. */
  readonly probeCap: number;
}

/** Who is told about an endpoint: its cluster. */
export interface EndpointHost {
  /** One more connection to it stands. */
  connected(endpoint: Endpoint): void;
  /** It went out or came back. */
  reachabilityChanged(endpoint: Endpoint): void;
  /** Its active checks say something else of it. */
  checkChanged(endpoint: Endpoint): void;
  /** An attempt is over. */
  reported(endpoint: Endpoint, report: AttemptReport): void;
  /** It left, and the last of its connections is gone. */
  left(endpoint: Endpoint): void;
}

/** Milliseconds that an endpoint is left alone after a failure, at least. */
const PROBE_FLOOR = 100;
/** Milliseconds after a failure from which on a call that finds no other endpoint tries this one again. */
const ON_DEMAND = 1000;

/** Nobody has asked it. */
const UNCHECKED: CheckState = { kind: "unchecked" };

/**
 * One instance of a service: what is known of it, its load, its health, its connections.
 *
 * An endpoint is out as soon as connecting to it fails, and tried again with growing pauses, with or without calls. What
 * discovery says of it is a hint, what connecting says is the truth.
 */
export class Endpoint implements PoolWatcher, Judged, Checked {
  // --- immutable ---
  readonly id: string;
  readonly address: Address;
  /** The address as people write it. */
  readonly label: string;
  readonly pool: Pool;
  /** The same, where a call takes a whole connection. */
  readonly sockets: SocketPool | undefined;
  private readonly services: PoolServices;
  private readonly host: EndpointHost;
  private readonly backoff: Backoff;

  // --- what discovery says ---
  private known: EndpointSpec;
  /** The share of calls beside the others that is due to it now; its cluster works it out. */
  weight: number;

  // --- what calls say ---
  /** Attempts under way. */
  inFlight = 0;
  /** Attempts ever. */
  selected = 0;
  failures = 0;
  /** Kept where the balancer needs it. */
  latency: PeakLatency | undefined = undefined;
  load: LoadWeight | undefined = undefined;
  /** Kept where it has less to do once it says that it has too much. */
  bias: LoadBias | undefined = undefined;
  /** Whether callers are to come back to it, and by which field. */
  affinity: AffinitySettings | undefined = undefined;

  // --- health ---
  state: EndpointState = { kind: "up" };
  /** The last failure to connect, kept after it is over. `at`: milliseconds since the Unix epoch. */
  lastError: { readonly message: string; readonly at: number } | undefined = undefined;
  /** Since when it is new, or back, among others that are not: milliseconds of the clock. */
  freshSince = Number.NEGATIVE_INFINITY;
  readonly outlier = new OutlierRecord();
  private check: ActiveCheck | undefined = undefined;
  /** What the checks of another thread say. */
  private told: CheckState = UNCHECKED;
  private probeTimer: Timer | undefined = undefined;
  private ownToken: string | undefined = undefined;

  constructor(spec: EndpointSpec, services: PoolServices, options: EndpointOptions, host: EndpointHost) {
    this.id = spec.id;
    this.address = spec.address;
    this.label = formatAddress(spec.address);
    this.known = spec;
    this.weight = spec.weight;
    this.services = services;
    this.host = host;
    const { sockets } = services;
    this.sockets = sockets && new SocketPool(spec.address, services, sockets, options.pool, this);
    this.pool = this.sockets ?? new ConnectionPool(spec.address, services, options.pool, this);
    this.backoff = new Backoff({ base: PROBE_FLOOR, cap: options.probeCap - PROBE_FLOOR, random: services.random });
  }

  get spec(): EndpointSpec {
    return this.known;
  }

  get zone(): string | undefined {
    return this.known.zone;
  }

  get meta(): Readonly<Record<string, string>> {
    return this.known.meta;
  }

  /** It takes connections. */
  get reachable(): boolean {
    return this.state.kind === "up";
  }

  /** It takes connections, and its active checks do not say that it is ill. */
  get standing(): boolean {
    return this.state.kind === "up" && this.checked.kind !== "unhealthy";
  }

  /** Nothing speaks against giving it calls. */
  get usable(): boolean {
    return this.standing && this.outlier.isIn;
  }

  get checked(): CheckState {
    return this.check?.state ?? this.told;
  }

  /** What stands for it in the field of session affinity. */
  get token(): string {
    this.ownToken ??= tokenOf(this.id);
    return this.ownToken;
  }

  /** The field that brings a caller back to this endpoint; undefined where it has it, or its upstream wants none. */
  sessionField(call: Call): SessionField | undefined {
    const { affinity } = this;
    if (affinity === undefined || tokenIn(call.head, affinity) === this.token) return undefined;
    return sessionField(affinity, this.token);
  }

  /** Takes a new spec of the same instance: weight, zone and meta may differ, the address may not. */
  update(spec: EndpointSpec): void {
    this.known = spec;
  }

  /** Keeps of attempts what the balancer needs, and nothing else. */
  keep(what: "latency" | "load" | undefined, load: () => LoadSettings): void {
    this.latency = what === "latency" ? (this.latency ?? new PeakLatency()) : undefined;
    this.load = what === "load" ? (this.load ?? new LoadWeight(load)) : undefined;
  }

  /** Asks it from now on whether it serves, or no more. */
  watchHealth(settings: CheckSettings | undefined): void {
    this.check?.close();
    this.check = settings && new ActiveCheck(settings, this, this.services, this.checked);
  }

  /** Another thread asks it, and says what it has found out. */
  hearHealth(state: CheckState): void {
    if (this.check !== undefined) return;
    this.told = state;
    this.host.checkChanged(this);
  }

  checkChanged(): void {
    this.host.checkChanged(this);
  }

  /** An attempt goes to this endpoint. */
  started(): void {
    this.inFlight++;
    this.selected++;
  }

  /** The attempt is over; once for each `started`. */
  done(report: AttemptReport): void {
    this.inFlight--;
    if (report.outcome === "failure") this.failures++;
    // How fast it refuses says nothing of how fast it answers.
    if (report.overLimit === undefined || this.bias === undefined) this.latency?.take(report);
    this.load?.take(report);
    this.host.reported(this, report);
  }

  /**
   * A call found no other endpoint. Where this one was left alone for long enough it is tried now. True where the call may
   * wait for what comes of it: the last answer was a refusal, so the next one will not keep it waiting.
   */
  tryNow(now: number): boolean {
    const { state, pool } = this;
    if (state.kind !== "unreachable") return false;
    if (!pool.connecting && now - state.failedAt < ON_DEMAND) return false;
    pool.probe();
    return state.failure.reason === "CONNECT_REFUSED";
  }

  /** It is no longer in the service: no more calls, connections end with their last stream. */
  leave(): void {
    this.state = { kind: "leaving" };
    this.probeTimer?.cancel();
    this.check?.close();
    this.pool.drain("the endpoint left the service");
  }

  onReachable(): void {
    this.comeBack();
    this.host.connected(this);
  }

  private comeBack(): void {
    if (this.state.kind !== "unreachable") return;
    const seconds = Math.round((this.services.clock.wall() - this.state.since) / 1000);
    this.state = { kind: "up" };
    this.probeTimer?.cancel();
    this.backoff.reset();
    this.services.log.info({ endpoint: this.label }, `${this.label} can be reached again after ${seconds} s`);
    this.host.reachabilityChanged(this);
  }

  onUnreachable(failure: ConnectFailure): void {
    const { clock, log } = this.services;
    const wall = clock.wall();
    const since = this.state.kind === "unreachable" ? this.state.since : wall;
    const news = this.state.kind === "up";
    this.lastError = { message: failure.message, at: wall };
    this.state = { kind: "unreachable", failure, since, failedAt: clock.now() };
    this.probeTimer?.cancel();
    this.probeTimer = clock.setTimer(PROBE_FLOOR + this.backoff.next(), () => this.pool.probe());
    if (!news) return;
    log.warn({ endpoint: this.label, reason: failure.reason }, failure.message);
    this.host.reachabilityChanged(this);
  }

  onDrained(): void {
    this.host.left(this);
  }
}
