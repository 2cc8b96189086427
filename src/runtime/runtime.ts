import { type BalancerName, balancers } from "../cluster/balancers/index.ts";
import { Cluster } from "../cluster/cluster.ts";
import { plainConnect } from "../cluster/connect.ts";
import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { Watch } from "../core/watch.ts";
import type { DiscoverySource } from "../discovery/source.ts";
import { defaultLimits } from "../http2/limits.ts";
import { Application } from "./application.ts";
import { drain } from "./drain.ts";
import { Listeners } from "./listeners.ts";
import { runtimeMetrics } from "./metrics-view.ts";
import { Publication } from "./publication.ts";
import { Readiness, type ReadyState } from "./readiness.ts";
import type { ProcessServices } from "./services.ts";
import { makeSources, type Sources } from "./sources.ts";
import { Upstreams } from "./upstreams.ts";

export interface RuntimeOptions {
  readonly config: Config;
  readonly services: ProcessServices;
  readonly version: string;
  /** ${POD_IP} */
  readonly podIp: string | undefined;
  /** Addresses of listeners that are not the runtime's: admin and probe. */
  readonly otherListeners: () => readonly Address[];
}

/** A sidecar at work: made of a configuration, started, drained, stopped. */
export class Runtime {
  readonly config: Config;
  readonly services: ProcessServices;
  readonly listeners: Listeners;
  readonly upstreams: Upstreams;
  readonly application: Application | undefined;
  /** Becomes true when the drain begins. */
  readonly drainBegan = new Watch(false);
  private readonly options: RuntimeOptions;
  private readonly sources: Sources;
  private readonly readiness: Readiness;
  private publication: Publication | undefined = undefined;
  private drained: Promise<number> | undefined = undefined;

  constructor(options: RuntimeOptions) {
    const { config, services } = options;
    const { clock, log, http2, random, metrics, accessLog } = services;
    this.options = options;
    this.config = config;
    this.services = services;
    this.readiness = new Readiness(clock);
    this.listeners = new Listeners(config, services);
    const own = (): Address[] => [...this.listeners.addresses(), ...options.otherListeners()];
    this.sources = makeSources(config, { clock, log: log.logger, random, own });
    const makeCluster = (announce: boolean) => {
      const connect = plainConnect(http2, { limits: defaultLimits, announce });
      return (name: string, source: DiscoverySource, balancer: BalancerName): Cluster =>
        new Cluster({ name, source: source.kind, balancer: balancers[balancer] }, source.subscribe(name), {
          clock,
          loop: http2.loop,
          log: log.logger,
          random,
          connect,
        });
    };
    this.upstreams = new Upstreams({
      config,
      sources: this.sources,
      makeCluster: makeCluster(true),
      metrics: metrics.calls,
      accessLog,
      clock,
    });
    this.application =
      config.service === undefined ? undefined : new Application(config.service, makeCluster(false), services);
    metrics.watch(runtimeMetrics(this));
  }

  /** Binds the listeners and begins to publish the service. Rejects with a BindError or an AdvertiseError. */
  async start(): Promise<void> {
    const target = this.application?.target;
    await this.listeners.bind(() => this.upstreams, target === undefined ? undefined : () => target);
    this.readiness.listenersBound();
    await this.publish();
  }

  /** Whether the sidecar may get calls, or what it waits for. */
  ready(): ReadyState {
    return this.readiness.state(this.upstreams.required());
  }

  get draining(): boolean {
    return this.drainBegan.current;
  }

  /** Resolves once every declared upstream has had its first answer. */
  async whenReady(): Promise<void> {
    await Promise.all(
      [...this.upstreams.required()].map((cluster) => new Promise<void>((resolve) => void cluster.whenKnown(resolve))),
    );
  }

  /** Goes without losing a call; returns how many streams had to be cut at the end of grace. Idempotent. */
  drain(): Promise<number> {
    this.drained ??= this.beginDrain();
    return this.drained;
  }

  /** Frees everything, at once. */
  async stop(): Promise<void> {
    const withdrawn = this.publication?.withdraw();
    for (const { acceptor } of this.listeners.all()) acceptor.closeAll("the sidecar stopped");
    this.upstreams.close();
    this.application?.close();
    await Promise.all([this.listeners.close(), withdrawn]);
    await this.sources.close();
  }

  private beginDrain(): Promise<number> {
    this.readiness.drainBegan();
    this.drainBegan.set(true);
    const { clock, log } = this.services;
    const { notice, grace } = this.config.drain;
    return drain({
      listeners: this.listeners,
      clock,
      notice,
      grace,
      withdraw: async () => this.publication?.withdraw(),
      tell: (direction, message) => log.logger.info({ direction }, message),
    });
  }

  private async publish(): Promise<void> {
    const { config, services, options, listeners, application } = this;
    const { registrar } = this.sources;
    if (
      config.service === undefined ||
      application === undefined ||
      registrar === undefined ||
      listeners.inbound === undefined
    )
      return;
    const { consul } = config.discovery;
    this.publication = new Publication({
      service: config.service,
      registrar,
      health: application.health,
      inbound: listeners.inbound.listener.address,
      source:
        config.discovery.default === "consul" && consul !== undefined
          ? { kind: "consul", address: consul.address }
          : { kind: "directory" },
      podIp: options.podIp,
      version: options.version,
      mtls: config.mtls.mode,
      clock: services.clock,
      random: services.random,
      log: services.log.logger,
    });
    await this.publication.begin();
  }
}
