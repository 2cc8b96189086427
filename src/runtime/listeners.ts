import { isDeepStrictEqual } from "node:util";
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
  inbound: BoundListener<Inbound> | undefined = undefined;
  outbound: BoundListener<Outbound>[] = [];
  private readonly identity: () => string;

  /** `identity`: how this sidecar is called, asked whenever it is said. */
  constructor(identity: () => string, services: ProcessServices) {
    this.identity = identity;
    this.services = services;
  }

  /** Binds every address. Rejects with a BindError and leaves nothing bound. */
  async bind(config: Config, rules: () => OutboundRules, application: (() => Target) | undefined): Promise<void> {
    const { listeners } = config;
    try {
      if (application !== undefined) {
        const inbound = new Inbound(this.acceptorOptions("inbound"), application);
        this.inbound = await this.open("inbound", listeners.inbound, inbound);
      }
      const outbound = new Outbound(this.acceptorOptions("outbound"), rules);
      this.outbound.push(await this.open("outbound", listeners.outbound, outbound));
      this.outbound.push(...(await this.openUpstreams(listensOf(config), rules)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Prepares the listeners that upstreams of another configuration have of their own: binds the new ones. What it resolves with
   * puts that in force: those that are no longer wanted take no more connections and drain. Rejects with a BindError.
   */
  async prepare(before: Config, config: Config, rules: () => OutboundRules): Promise<() => void> {
    const old = listensOf(before);
    const wanted = listensOf(config);
    const isSame = (name: string): boolean => isDeepStrictEqual(old.get(name), wanted.get(name));
    const opened = await this.openUpstreams(new Map([...wanted].filter(([name]) => !isSame(name))), rules);
    return () => {
      const gone = this.outbound.filter(({ name }) => old.has(name) && !isSame(name));
      for (const { listener, acceptor } of gone) {
        listener.stopAccepting();
        acceptor.shutdown("the listener is no longer configured");
      }
      this.outbound = [...this.outbound.filter((bound) => !gone.includes(bound)), ...opened];
    };
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

  private async openUpstreams(
    listens: ReadonlyMap<string, Address>,
    rules: () => OutboundRules,
  ): Promise<BoundListener<Outbound>[]> {
    const opened: BoundListener<Outbound>[] = [];
    try {
      for (const [name, address] of listens) {
        const fixed = name.slice(UPSTREAM.length);
        opened.push(await this.open(name, address, new Outbound(this.acceptorOptions("outbound"), rules, fixed)));
      }
    } catch (error) {
      await Promise.all(opened.map(({ listener }) => listener.close()));
      throw error;
    }
    return opened;
  }

  private acceptorOptions(direction: Direction): AcceptorOptions {
    const { services } = this;
    const series = services.metrics.calls.upstream(direction, "");
    return {
      direction,
      http2: services.http2,
      limits: defaultLimits,
      services: services.exchange(this.identity, direction),
      unrouted: { series, filters: unroutedFilters({ series, accessLog: services.accessLog }) },
      log: services.log.logger,
    };
  }
}

/** What the names of listeners that upstreams have of their own begin with. */
const UPSTREAM = "upstreams.";

function listensOf(config: Config): ReadonlyMap<string, Address> {
  const listens = new Map<string, Address>();
  for (const [name, { listen }] of config.upstreams)
    if (listen !== undefined) listens.set(`${UPSTREAM}${name}`, listen);
  return listens;
}
