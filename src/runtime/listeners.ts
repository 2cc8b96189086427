import type { Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { unroutedFilters } from "../filters/index.ts";
import type { Direction } from "../http/reason.ts";
import { defaultLimits } from "../http2/limits.ts";
import { Listener } from "../net/listener.ts";
import type { Acceptor, AcceptorOptions } from "../proxy/acceptor.ts";
import { Inbound } from "../proxy/inbound.ts";
import { Outbound, type OutboundRules } from "../proxy/outbound.ts";
import type { Target } from "../proxy/target.ts";
import type { ProcessServices } from "./services.ts";

/** A bound address and what happens to its connections. */
export interface BoundListener<A extends Acceptor = Acceptor> {
  readonly name: string;
  readonly listener: Listener;
  readonly acceptor: A;
}

/** The listeners that carry calls. */
export class Listeners {
  private readonly services: ProcessServices;
  private readonly config: Config;
  inbound: BoundListener<Inbound> | undefined = undefined;
  readonly outbound: BoundListener<Outbound>[] = [];

  constructor(config: Config, services: ProcessServices) {
    this.config = config;
    this.services = services;
  }

  /** Binds every address. Rejects with a BindError and leaves nothing bound. */
  async bind(rules: () => OutboundRules, application: (() => Target) | undefined): Promise<void> {
    const { listeners, upstreams } = this.config;
    try {
      if (application !== undefined) {
        const inbound = new Inbound(this.acceptorOptions("inbound"), application);
        this.inbound = await this.open("inbound", listeners.inbound, inbound);
      }
      this.outbound.push(
        await this.open("outbound", listeners.outbound, new Outbound(this.acceptorOptions("outbound"), rules)),
      );
      for (const [name, { listen }] of upstreams) {
        if (listen === undefined) continue;
        const outbound = new Outbound(this.acceptorOptions("outbound"), rules, name);
        this.outbound.push(await this.open(`upstreams.${name}`, listen, outbound));
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Every listener that is bound. */
  *all(): IterableIterator<BoundListener> {
    if (this.inbound !== undefined) yield this.inbound;
    yield* this.outbound;
  }

  /** Where this process listens for calls, as discovery has to know it. */
  addresses(): Address[] {
    return [...this.all()].map(({ listener }) => listener.address);
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map(({ listener }) => listener.close()));
  }

  private async open<A extends Acceptor>(name: string, address: Address, acceptor: A): Promise<BoundListener<A>> {
    const log = this.services.log.logger;
    const listener = await Listener.bind(
      address,
      {},
      {
        onConnection: (socket, peer) => acceptor.accept(socket, peer),
        onRefused: () => log.warn({ listener: name }, "a connection was closed at once: too many are open"),
        onError: (error) => log.error({ listener: name, err: error }, "a connection could not be taken"),
      },
    );
    log.info(
      { listener: name, address: formatAddress(listener.address) },
      `listening for ${name} on ${formatAddress(listener.address)}`,
    );
    return { name, listener, acceptor };
  }

  private acceptorOptions(direction: Direction): AcceptorOptions {
    const { services, config } = this;
    const series = services.metrics.calls.upstream(direction, "");
    return {
      direction,
      http2: services.http2,
      limits: defaultLimits,
      services: services.exchange(config.identity.name, direction),
      unrouted: { series, filters: unroutedFilters({ series, accessLog: services.accessLog }) },
      log: services.log.logger,
    };
  }
}
