import { isDeepStrictEqual } from "node:util";
import { Cluster } from "../cluster/cluster.ts";
import type { EndpointNews } from "../cluster/news.ts";
import { type Connect, plainConnect } from "../cluster/pool/connect.ts";
import { type OpenSocket, plainSocket } from "../cluster/pool/open-socket.ts";
import type { Config, SourceKind } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { Watch } from "../core/watch.ts";
import { consulQuestion } from "../discovery/consul/name.ts";
import type { DiscoverySource } from "../discovery/source.ts";
import type { Call, Failure } from "../http/call.ts";
import { defaultLimits } from "../http2/limits.ts";
import type { SocketProtocol } from "../net/alpn.ts";
import { routerTo } from "../proxy/outbound.ts";
import { Application } from "./application.ts";
import { AuthorizationService } from "./authorization-service.ts";
import { Capture } from "./capture.ts";
import type { Child } from "./child.ts";
import { drain } from "./drain.ts";
import { changedFixedSettings } from "./fixed-settings.ts";
import { IntentionWatch } from "./intention-watch.ts";
import { type CallListener, Listeners } from "./listeners.ts";
import { type Dialled, Mtls, type PreparedMtls, RENEWAL } from "./mtls.ts";
import { OverloadWatch } from "./overload-watch.ts";
import { Publisher } from "./publisher.ts";
import { allKnown, Readiness, type ReadyState } from "./readiness.ts";
import { registerRuntimeMetrics } from "./register-metrics.ts";
import { sameApplication } from "./service-change.ts";
import { applyLimits, applyToServices, type ProcessServices } from "./services.ts";
import { Sources } from "./sources.ts";
import { TokenKeys } from "./token-keys.ts";
import { type MakeCluster, Upstreams } from "./upstreams/upstreams.ts";

/** What a runtime is made of. */
export interface RuntimeOptions {
  readonly config: Config;
  readonly services: ProcessServices;
  readonly version: string;
  /** ${POD_IP} */
  readonly podIp: string | undefined;
  /** Addresses of listeners that are not the runtime's: admin and probe. */
  readonly otherListeners: () => readonly Address[];
  /** How calls are carried; by default on this thread. */
  readonly listeners?: (identity: () => string, mtls: Mtls) => Listeners;
  /** What another thread does for this one, where there are several. */
  readonly elsewhere?: Elsewhere;
  /** Tells the other threads what this one has found out of an upstream. */
  readonly tell?: (news: UpstreamNews) => void;
}

/** `until`: wall-clock milliseconds when a call may try again. */
export interface BreakerNews {
  readonly kind: "breakerOpened";
  readonly method: string;
  readonly why: string;
  readonly until: number;
}

/** What one thread has found out of an upstream. */
export interface UpstreamNews {
  readonly upstream: string;
  readonly of: EndpointNews | BreakerNews;
}

/** Another thread holds the discovery sources but static, publishes the service, and is the parent of the application. */
export interface Elsewhere {
  readonly source: (kind: SourceKind) => DiscoverySource;
  /** Resolves when the service is out of discovery. */
  readonly withdrawn: Promise<void>;
  /** Nobody calls the application by this thread any more. */
  readonly inboundEnded: () => void;
  /** What all threads know of connections that may come back: see `LoopGuard`. */
  readonly ends: SharedArrayBuffer;
}

/** What became of a configuration that was offered. */
export type ApplyResult =
  | { readonly kind: "applied"; readonly version: number }
  | { readonly kind: "unchanged" }
  /** Nothing of it is in force. */
  | { readonly kind: "refused"; readonly why: string };

/** A sidecar at work: made of a configuration, started, given others, drained, stopped. */
export class Runtime {
  readonly services: ProcessServices;
  readonly listeners: Listeners;
  readonly upstreams: Upstreams;
  readonly mtls: Mtls;
  readonly intentions: IntentionWatch;
  readonly tokenKeys: TokenKeys;
  readonly capture: Capture;
  /** Becomes true when the drain begins. */
  readonly drainBegan = new Watch(false);
  /** The application, where this sidecar has started it. */
  child: Child | undefined = undefined;
  private readonly applied = new Watch(1);
  /** Why the last configuration that was offered is not in force; undefined while it is. */
  lastRefusal: string | undefined = undefined;
  private inForce: Config;
  private readonly elsewhere: Elsewhere | undefined;
  private readonly tell: ((news: UpstreamNews) => void) | undefined;
  private readonly sources: Sources;
  private readonly readiness: Readiness;
  private readonly authorizationService: AuthorizationService;
  private readonly publisher: Publisher;
  private readonly overload: OverloadWatch;
  private app: Application | undefined;
  private drained: Promise<number> | undefined = undefined;
  private applying: Promise<unknown> = Promise.resolve();

  constructor(options: RuntimeOptions) {
    const { config, services } = options;
    const { clock, log, random, metrics, accessLog, rateLimits, overload, concurrency } = services;
    applyLimits(services, config);
    this.inForce = config;
    this.elsewhere = options.elsewhere;
    this.tell = options.tell;
    this.services = services;
    this.readiness = new Readiness(clock);
    this.mtls = new Mtls(config, services);
    services.authorization.own = () => this.mtls.credentials?.own.id;
    services.external.own = () => this.mtls.credentials?.own.id;
    this.tokenKeys = new TokenKeys(services);
    this.tokenKeys.apply(config.jwt);
    this.intentions = new IntentionWatch(services);
    this.intentions.current.onChange((intentions) => {
      services.authorization.setIntentions(intentions);
      // What was decided about peers of before may be decided otherwise now.
      this.mtls.voidSessions();
      this.reconsiderCalls();
    });
    const identity = (): string => this.inForce.identity.name;
    this.listeners = options.listeners?.(identity, this.mtls) ?? new Listeners(identity, this.mtls, services);
    this.overload = new OverloadWatch(services, this.listeners);
    this.capture = new Capture(
      services,
      {
        config: () => this.inForce,
        own: () => own(),
        mesh: {
          inbound: (socket, peer) => this.listeners.enter?.(socket, peer),
          outbound: (socket, peer, arrived, to) =>
            this.listeners.outbound[0]?.acceptor.accept(socket, peer, arrived, to),
        },
        upstreams: () => this.upstreams,
        http1: (arrival) => this.listeners.enterHttp1(arrival),
        call: (arrival, upstream) =>
          this.listeners.enterTcp(
            arrival,
            routerTo(upstream, () => this.upstreams),
          ),
      },
      options.elsewhere?.ends,
    );
    const own = (): Address[] => [
      ...this.listeners.bound().map(({ address }) => address),
      ...this.capture.addresses(),
      ...options.otherListeners(),
    ];
    const discovery = { clock, log: log.logger, random, own };
    this.sources = new Sources(config, discovery, options.elsewhere?.source);
    this.upstreams = new Upstreams(config, {
      sources: this.sources,
      makeCluster: this.clusterMaker((dialled) => this.mtls.upstream(dialled)),
      makePlainCluster: this.clusterMaker(this.plain),
      discovery,
      metrics: metrics.calls,
      accessLog,
      tracer: services.tracer,
      rates: rateLimits.groups.outbound,
      overload,
      bandwidth: services.bandwidth,
      concurrency,
      clock,
      faults: services.faults,
      hopeless: services.hopeless,
      headers: services.http2.headers,
      policies: {
        clock,
        random,
        deadlines: services.deadlines,
        http2: services.http2,
        log: log.logger,
        opened: (upstream, method, why, openFor) =>
          options.tell?.({
            upstream,
            of: { kind: "breakerOpened", method, why, until: clock.wall() + openFor },
          }),
      },
    });
    this.authorizationService = new AuthorizationService({
      services,
      exchange: services.exchange(identity, "outbound"),
      discovery,
      makeCluster: this.clusterMaker(this.plain),
      upstream: (name) => this.upstreams.target(name),
    });
    this.authorizationService.apply(config.authorization?.external);
    this.mtls.narrowed.onChange(() => {
      for (const cluster of this.upstreams.clusters())
        for (const { pool } of cluster.endpoints) pool.renew(RENEWAL.reason, RENEWAL.spread);
    });
    this.app = this.makeApplication(config);
    this.publisher = new Publisher({
      inForce: () => ({ config: this.inForce, app: this.app, inbound: this.listeners.addressOf("inbound") }),
      registrar: () => this.sources.registrar(),
      services,
      podIp: options.podIp,
      version: options.version,
    });
    registerRuntimeMetrics(this);
  }

  /** The configuration in force. */
  get config(): Config {
    return this.inForce;
  }

  /** Configurations applied so far. */
  get version(): number {
    return this.applied.current;
  }

  /** The application beside this sidecar; undefined for a caller-only one. */
  get application(): Application | undefined {
    return this.app;
  }

  /**
   * Binds the listeners and begins to publish the service, once it has the certificate that it needs. Rejects with a BindError
   * or an AdvertiseError, or where there is no identity to be had, or another one's.
   */
  async start(): Promise<void> {
    await this.listeners.bind(this.inForce, () => this.upstreams, this.app && (() => this.target()));
    // Where other threads carry the calls, they see to themselves.
    if (this.listeners.here) this.overload.begin();
    const { capture } = this.inForce;
    if (capture !== undefined && this.listeners.here) await this.capture.bind(capture, this.listeners.shared);
    this.readiness.listenersBound();
    await this.mtls.start();
    await this.intentions.start(this.inForce);
    if (this.mtls.waiting === undefined && this.intentions.waiting === undefined) {
      await this.publisher.start();
      return;
    }
    this.whenOpen(() => {
      const failed = (err: unknown): void => this.services.log.logger.error({ err }, "cannot publish the service");
      if (!this.draining) this.publisher.start().catch(failed);
    });
  }

  /**
   * Goes over to another configuration, whole or not at all. Calls under way end as they began; what the change does not concern
   * keeps its connections, health and counts.
   */
  apply(config: Config): Promise<ApplyResult> {
    const applied = this.applying.then(() => this.applyNow(config));
    this.applying = applied.catch(() => undefined);
    return applied;
  }

  /** A configuration could not even be read. What was offered before it is dealt with before. */
  refuse(why: string): Promise<ApplyResult> {
    const refused = this.applying.then(() => this.refuseNow(why));
    this.applying = refused;
    return refused;
  }

  /** Whether the sidecar may get calls, or what it waits for. */
  ready(): ReadyState {
    const refused = this.lastRefusal;
    const detail = refused === undefined ? undefined : `the last configuration was refused: ${refused}`;
    const parts = [this.mtls, this.intentions, this.tokenKeys];
    const details = [detail, ...parts.map(({ warning }) => warning)].filter((text) => text !== undefined);
    for (const optional of this.upstreams.needed("optional"))
      if (!optional.known) details.push(`${optional.noneReason().detail} (startup: optional)`);
    const missing = parts.map(({ waiting }) => waiting).filter((waiting) => waiting !== undefined);
    return this.readiness.state(this.upstreams.needed("required"), details, missing);
  }

  get draining(): boolean {
    return this.drainBegan.current;
  }

  /** Resolves once every declared upstream that is not optional has had its first answer. */
  async whenReady(): Promise<void> {
    await new Promise<void>((resolve) => this.whenOpen(resolve));
    await allKnown(() => this.upstreams.needed("required"), this.applied);
    this.ready();
  }

  /** Calls back once there is all without which every call would be refused. */
  private whenOpen(callback: () => void): void {
    this.mtls.whenKnown(() => this.intentions.whenKnown(callback));
  }

  /** Goes without losing a call; returns how many streams had to be cut at the end of grace. Idempotent. */
  drain(): Promise<number> {
    this.drained ??= this.beginDrain();
    return this.drained;
  }

  /** Every listener that calls have come in at, those of captured connections included. */
  callListeners(): CallListener[] {
    return [...this.listeners.all(), ...this.capture.listeners()];
  }

  /** Frees everything, at once. */
  async stop(): Promise<void> {
    await this.applying;
    const withdrawn = this.publisher.withdraw();
    for (const { acceptor, side } of this.listeners.all()) {
      acceptor.closeAll("the sidecar stopped");
      side.closeAll("the sidecar stopped");
    }
    this.overload.close();
    this.upstreams.close();
    this.app?.close();
    this.authorizationService.close();
    await Promise.all([this.listeners.close(), this.capture.close(), withdrawn]);
    await Promise.all([
      this.sources.close(),
      this.services.rateLimits.close(),
      this.mtls.close(),
      this.intentions.close(),
      this.tokenKeys.close(),
      this.services.tracer.close(),
    ]);
  }

  private refuseNow(why: string): ApplyResult {
    this.lastRefusal = why;
    return { kind: "refused", why };
  }

  private async applyNow(config: Config): Promise<ApplyResult> {
    const before = this.inForce;
    if (this.draining) return this.refuseNow("the sidecar is shutting down");
    const fixed = changedFixedSettings(before, config);
    if (fixed.length > 0) return this.refuseNow(`${fixed.join(", ")} cannot change while running`);
    if (isDeepStrictEqual(before, config)) {
      this.lastRefusal = undefined;
      return { kind: "unchanged" };
    }
    let putListeners: () => void;
    let mtls: PreparedMtls | undefined;
    try {
      mtls = await this.mtls.prepare(config);
      putListeners = await this.listeners.prepare(before, config, () => this.upstreams);
    } catch (error) {
      await mtls?.discard();
      return this.refuseNow(error instanceof Error ? error.message : String(error));
    }
    // From here on nothing fails and nothing waits: the next call sees all of it.
    this.inForce = config;
    mtls.adopt();
    this.sources.apply(config);
    this.upstreams.apply(config);
    putListeners();
    applyToServices(this.services, before, config);
    if (this.listeners.here) this.overload.begin();
    this.authorizationService.apply(config.authorization?.external);
    this.intentions.apply(config);
    this.tokenKeys.apply(config.jwt);
    if (!isDeepStrictEqual(before.authorization, config.authorization)) this.reconsiderCalls();
    this.applied.set(this.version + 1);
    this.lastRefusal = undefined;
    this.applyService(before, config);
    return { kind: "applied", version: this.version };
  }

  /** Ends the calls under way that would not be let in any more, where that is wanted. */
  private reconsiderCalls(): void {
    const { authorization, log } = this.services;
    const { inbound } = this.listeners;
    const verdict = (call: Call): Failure | undefined => authorization.reconsider(call);
    const ended = inbound === undefined ? 0 : inbound.acceptor.reconsider(verdict) + inbound.side.reconsider(verdict);
    if (ended > 0) log.logger.info({ ended }, "calls under way were ended: authorization has changed");
  }

  /** Where inbound calls go, at once; what is published, as soon as the source takes it. */
  private applyService(before: Config, config: Config): void {
    const old = this.app;
    if (old !== undefined && !sameApplication(before.service, config.service)) {
      this.app = this.makeApplication(config);
      old.close();
    }
    this.publisher.update();
  }

  private async beginDrain(): Promise<number> {
    this.readiness.drainBegan();
    this.drainBegan.set(true);
    const { clock, log } = this.services;
    const { notice, grace } = this.inForce.drain;
    const withdrawn = this.elsewhere?.withdrawn ?? this.publisher.withdraw();
    const endApplication = this.elsewhere?.inboundEnded ?? ((): void => this.child?.signal("SIGTERM"));
    const cut = await this.listeners.drainOthers(withdrawn, endApplication);
    return (
      cut +
      (await drain({
        listeners: this.listeners,
        capture: this.capture,
        clock,
        notice,
        grace,
        withdraw: () => withdrawn,
        endApplication,
        applicationGone: () => (this.child?.gone ?? true) && (this.app?.gone ?? true),
        tell: (direction, message) => log.logger.info({ direction }, message),
      }))
    );
  }

  /** Another thread has found out something. */
  hear({ upstream, of }: UpstreamNews): void {
    if (of.kind === "breakerOpened") this.upstreams.policies.hearOpened(upstream, of.method, of.why);
    else for (const cluster of this.upstreams.clusters()) if (cluster.name === upstream) cluster.hear(of);
  }

  /** A discovery source of the configuration in force, where it has that one. */
  sourceOf(kind: SourceKind): DiscoverySource | undefined {
    return kind === "static" || this.inForce.discovery[kind] !== undefined ? this.sources.of(kind) : undefined;
  }

  private target(): Application["target"] {
    if (this.app === undefined) throw new Error("an inbound call without an application");
    return this.app.target;
  }

  private makeApplication(config: Config): Application | undefined {
    return config.service && new Application(config.service, this.clusterMaker(this.plain), this.services);
  }

  /** Dials in plaintext. */
  private readonly plain = (): Dialler => {
    const { http2, clock } = this.services;
    return { connect: plainConnect(http2, () => CONNECT), opener: () => plainSocket(clock) };
  };

  /** `dialler`: how the endpoints of a name are dialled. */
  private clusterMaker(dialler: (dialled: Dialled) => Dialler): MakeCluster {
    const { http2, clock, log, random, keepalive } = this.services;
    const told = this.tell;
    const services = { clock, loop: http2.loop, headers: http2.headers, log: log.logger, random, keepalive };
    return (name, source, policy, lookup = name, upstream = name, protocol) => {
      const dialled = dialler({
        upstream,
        service: () => serviceOf(cluster),
        endpoints: () => cluster.endpoints,
        how: () => (cluster.connectTimeout === undefined ? CONNECT : { ...CONNECT, timeout: cluster.connectTimeout }),
      });
      const { connect } = dialled;
      const sockets = protocol && { protocol, open: dialled.opener(protocol) };
      const tell = told && ((of: EndpointNews): void => told({ upstream: name, of }));
      const identity = () => this.mtls.credentials?.own.id.text;
      const options = { name, source: source.kind, policy, lookup, tell, identity };
      const cluster: Cluster = new Cluster(options, source.subscribe(lookup), { ...services, connect, sockets });
      return cluster;
    };
  }
}

/** The service that a cluster asks Consul for; undefined: something else, or somebody else. */
function serviceOf({ source, lookup }: Cluster): string | undefined {
  const question = source === "consul" ? consulQuestion(lookup) : undefined;
  return question?.kind === "service" ? question.service : undefined;
}

/** How connections are made: of HTTP/2, and of what else TLS is told that it is. */
interface Dialler {
  readonly connect: Connect;
  opener(protocol: SocketProtocol): OpenSocket;
}

/** How every connection is made. */
const CONNECT = { limits: defaultLimits, announce: true } as const;
