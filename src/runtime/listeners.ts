import type { Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { SparingLog } from "../core/sparing-log.ts";
import { unroutedFilters } from "../filters/index.ts";
import type { Direction } from "../http/reason.ts";
import { defaultLimits } from "../http2/limits.ts";
import type { Door, DoorHandler } from "../identity/door.ts";
import { choose, isBetweenSidecars, isHttp1 } from "../net/alpn.ts";
import { doorsFor } from "../net/connection-budget.ts";
import { Listener } from "../net/listener.ts";
import type { Acceptor, AcceptorOptions } from "../proxy/acceptor.ts";
import { clientCertificate, Forwarded } from "../proxy/forwarded.ts";
import { Inbound } from "../proxy/inbound.ts";
import { Outbound, type OutboundRules } from "../proxy/outbound.ts";
import { SideEntrance } from "../proxy/sockets/side-entrance.ts";
import type { Arrival } from "../proxy/sockets/socket-acceptor.ts";
import type { Router, SocketTarget, Target } from "../proxy/target.ts";
import { type Mtls, RENEWAL } from "./mtls.ts";
import type { ProcessServices } from "./services.ts";

/** A bound address that calls come in at. */
export interface CallListener {
  readonly name: string;
  readonly listener: Listener;
}

/** A bound address and what happens to its connections. */
export interface BoundListener<A extends Acceptor = Acceptor> extends CallListener {
  readonly acceptor: A;
  /** Its connections that are not HTTP/2. */
  readonly side: SideEntrance;
}

/** A bound address, by the name of its listener. */
export interface Bound {
  readonly name: string;
  readonly address: Address;
}

/** The listeners that carry calls. */
export class Listeners {
  private readonly services: ProcessServices;
  inbound: BoundListener<Inbound> | undefined = undefined;
  outbound: BoundListener<Outbound>[] = [];
  /** No longer bound; their connections are ending. */
  private retired: BoundListener<Outbound>[] = [];
  private readonly identity: () => string;
  private readonly mtls: Mtls;
  private door: Door | undefined = undefined;
  /** Other threads listen at the same addresses. */
  readonly shared: boolean;
  /** Connections come in on this thread. */
  readonly here: boolean = true;
  /** Takes a connection of others to the application, however it has come in; undefined without an application. */
  enter: ((socket: Socket, peer: string) => void) | undefined = undefined;

  /** `identity`: how this sidecar is called, asked whenever it is said. */
  constructor(identity: () => string, mtls: Mtls, services: ProcessServices, shared = false) {
    this.shared = shared;
    this.identity = identity;
    this.mtls = mtls;
    this.services = services;
  }

  /** Binds every address. Rejects with a BindError and leaves nothing bound. */
  async bind(config: Config, rules: () => OutboundRules, application: (() => Target) | undefined): Promise<void> {
    const { listeners } = config;
    try {
      if (application !== undefined) {
        const forwarded = new Forwarded(this.services.http2.headers);
        const inbound = new Inbound({ ...this.acceptorOptions("inbound"), forwarded }, application);
        const side = this.sideEntrance("inbound", forwarded);
        const protocol = (): SocketTarget["protocol"] | undefined => application().sockets?.protocol;
        const handler: DoorHandler = {
          plain: (socket, peer, arrived) => {
            const spoken = protocol();
            if (spoken === undefined) inbound.accept(socket, peer, arrived);
            else if (spoken === "http1")
              side.look({ socket, peer, arrived }, inbound, (seen) => inbound.accept(socket, peer, seen));
            else side.accept(spoken, { socket, peer, arrived }, inbound);
          },
          secured: (socket, peer, who, own) => {
            const caller = {
              identity: who.id.text,
              certificate: clientCertificate(own, who),
              serverName: typeof socket.servername === "string" ? socket.servername : undefined,
            };
            const spoken = protocol();
            const { alpnProtocol } = socket;
            const arrival = { socket, peer, caller, told: isBetweenSidecars("tcp", alpnProtocol) };
            if (spoken === undefined) inbound.acceptSecured(socket, peer, caller);
            else if (spoken === "tcp" || isHttp1(alpnProtocol)) side.accept(spoken, arrival, inbound);
            else side.look(arrival, inbound, (seen) => inbound.acceptSecured(socket, peer, caller, seen));
          },
        };
        this.door = this.mtls.door(handler, {
          choose: (offered) => choose(protocol(), offered),
          silence: () => (protocol() === "tcp" ? SILENCE : undefined),
        });
        this.mtls.narrowed.onChange(() => {
          inbound.readmit(RENEWAL.reason, RENEWAL.spread, this.services.random);
          side.readmit(RENEWAL.spread, this.services.random);
        });
        const enter = (socket: Socket, peer: string): void => {
          if (protocol() !== undefined) socket.allowHalfOpen = true;
          this.door?.take(socket, peer);
        };
        this.enter = enter;
        this.inbound = await this.open("inbound", listeners.inbound, inbound, side, enter);
      }
      const outbound = new Outbound(this.acceptorOptions("outbound"), rules);
      this.outbound.push(await this.openOutbound("outbound", listeners.outbound, outbound, rules));
      this.outbound.push(...(await this.openUpstreams(listensOf(config), rules)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Prepares the listeners that upstreams of another configuration have of their own: binds what is not bound yet; an address
   * that goes from one upstream to another stays bound. What it resolves with puts that in force: listeners that are no longer
   * wanted take no more connections and drain. Rejects with a BindError.
   */
  async prepare(before: Config, config: Config, rules: () => OutboundRules): Promise<() => void> {
    const old = listensOf(before);
    const free = new Map(this.outbound.filter(({ name }) => old.has(name)).map((bound) => [bound.name, bound]));
    const kept: BoundListener<Outbound>[] = [];
    const missing = new Map<string, Address>();
    const take = (name: string, from: string): void => {
      const bound = free.get(from);
      if (bound === undefined) return;
      free.delete(from);
      kept.push({ ...bound, name });
    };
    const wanted = [...listensOf(config)];
    for (const [name, address] of wanted) if (isDeepStrictEqual(old.get(name), address)) take(name, name);
    for (const [name, address] of wanted) {
      if (kept.some((bound) => bound.name === name)) continue;
      const holder = [...free.keys()].find((other) => isDeepStrictEqual(old.get(other), address));
      if (holder === undefined) missing.set(name, address);
      else take(name, holder);
    }
    const opened = await this.openUpstreams(missing, rules);
    return () => {
      for (const { listener, acceptor, side } of free.values()) {
        listener.stopAccepting();
        acceptor.shutdown("the listener is no longer configured");
        side.shutdown();
      }
      for (const { name, acceptor } of kept) acceptor.fixed = upstreamOf(name);
      this.retired = [...this.retired, ...free.values()].filter(
        ({ acceptor, side }) => acceptor.connectionCount + side.connectionCount > 0,
      );
      this.outbound = [...this.outbound.filter(({ name }) => !old.has(name)), ...kept, ...opened];
    };
  }

  /** Takes captured requests of HTTP/1.1 of the application. */
  enterHttp1(arrival: Arrival): void {
    const [outbound] = this.outbound;
    if (outbound === undefined) arrival.socket.destroy();
    else outbound.side.accept("http1", arrival, outbound.acceptor);
  }

  /** Takes a captured connection of the application as TCP. */
  enterTcp(arrival: Arrival, router: Router): void {
    const [outbound] = this.outbound;
    if (outbound === undefined) arrival.socket.destroy();
    else outbound.side.accept("tcp", arrival, router);
  }

  /** Those that the application calls through: what is bound, and what was and still has a connection. */
  get callers(): readonly BoundListener<Outbound>[] {
    return [...this.outbound, ...this.retired];
  }

  /** Every listener that has or may have connections. */
  *all(): IterableIterator<BoundListener> {
    if (this.inbound !== undefined) yield this.inbound;
    yield* this.callers;
  }

  /** Asks callers to go that have no call and have been silent for `ms` milliseconds; returns how many. */
  closeIdle(ms: number): number {
    let closed = 0;
    for (const { acceptor, side } of this.all()) closed += acceptor.closeIdle(ms) + side.closeIdle(ms);
    return closed;
  }

  /** Where this process listens for calls, by the listener's name. */
  bound(): readonly Bound[] {
    const { inbound, outbound } = this;
    const all = [...(inbound === undefined ? [] : [inbound]), ...outbound];
    return all.map(({ name, listener }) => ({ name, address: listener.address }));
  }

  /** Where a listener of a name is bound. */
  addressOf(name: string): Address | undefined {
    return this.bound().find((bound) => bound.name === name)?.address;
  }

  /**
   * Drains what other threads carry; returns how many streams were cut. `withdrawn`: the service is out of discovery.
   * `inboundEnded`: nobody calls the application any more.
   */
  drainOthers(_withdrawn: Promise<void>, _inboundEnded: () => void): Promise<number> {
    return Promise.resolve(0);
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map(({ listener }) => listener.close()));
  }

  private async open<A extends Acceptor>(
    name: string,
    address: Address,
    acceptor: A,
    side: SideEntrance,
    take: (socket: Socket, peer: string) => void,
  ): Promise<BoundListener<A>> {
    const log = this.services.log.logger;
    const { clock, http2, metrics, connections: budget, callerConnections } = this.services;
    const refusals = new SparingLog(
      log,
      "warn",
      "a connection was closed at once: too many are open, or the sidecar is overloaded",
      clock,
    );
    const failures = new SparingLog(log, "error", "a connection could not be taken", clock);
    const listener = await Listener.bind(
      address,
      {
        limits: callerConnections[acceptor.direction].limits,
        shared: this.shared,
        doors: this.shared || name !== "inbound" ? 1 : doorsFor(budget.most),
        budget,
      },
      {
        onConnection: (socket, peer) => {
          http2.loop.countConnection();
          take(socket, peer);
        },
        // Who has not come in yet gives way first, as it has the least to lose.
        makeRoom: () =>
          (name === "inbound" && this.door?.makeRoom() === true) || acceptor.makeRoom() || side.makeRoom(),
        onRefused: (limit, most) => {
          metrics.refused.count(name, limit);
          refusals.tell({ listener: name, limit, most });
        },
        onError: (error) => failures.tell({ listener: name, err: error }),
      },
    );
    log.info(
      { listener: name, address: formatAddress(listener.address) },
      `listening for ${name} on ${formatAddress(listener.address)}`,
    );
    return { name, listener, acceptor, side };
  }

  /** One that the application calls through: what its connections speak is its upstream's protocol, or is looked at. */
  private openOutbound(
    name: string,
    address: Address,
    acceptor: Outbound,
    rules: () => OutboundRules,
  ): Promise<BoundListener<Outbound>> {
    const side = this.sideEntrance("outbound");
    const take = (socket: Socket, peer: string): void => {
      const { fixed } = acceptor;
      const protocol = fixed === undefined ? undefined : rules().target(fixed)?.sockets?.protocol;
      if (protocol === "tcp") side.accept(protocol, { socket, peer }, acceptor);
      else if (protocol === "http1" || (fixed === undefined && rules().http1))
        side.look({ socket, peer }, acceptor, (arrived) => acceptor.accept(socket, peer, arrived));
      else acceptor.accept(socket, peer);
    };
    return this.open(name, address, acceptor, side, take);
  }

  private sideEntrance(direction: Direction, forwarded?: Forwarded): SideEntrance {
    const { services, unrouted, lives, log } = this.acceptorOptions(direction);
    const { clock } = this.services;
    return new SideEntrance({ direction, services, unrouted, clock, lives, log, forwarded });
  }

  private async openUpstreams(
    listens: ReadonlyMap<string, Address>,
    rules: () => OutboundRules,
  ): Promise<BoundListener<Outbound>[]> {
    const opened: BoundListener<Outbound>[] = [];
    try {
      for (const [name, address] of listens) {
        const acceptor = new Outbound(this.acceptorOptions("outbound"), rules, upstreamOf(name));
        opened.push(await this.openOutbound(name, address, acceptor, rules));
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
      keepalive: services.keepalive,
      limits: defaultLimits,
      services: services.exchange(this.identity, direction),
      unrouted: {
        series,
        filters: unroutedFilters({ series, accessLog: services.accessLog, tracer: services.tracer }),
      },
      lives: services.callerConnections[direction].lives,
      log: services.log.logger,
    };
  }
}

/** Milliseconds after which who says nothing waits for the server of TCP to speak first: whoever wants TLS begins at once. */
const SILENCE = 500;

/** What the names of listeners that upstreams have of their own begin with. */
const UPSTREAM = "upstreams.";

function upstreamOf(name: string): string {
  return name.slice(UPSTREAM.length);
}

function listensOf(config: Config): ReadonlyMap<string, Address> {
  const listens = new Map<string, Address>();
  for (const [name, { listen }] of config.upstreams)
    if (listen !== undefined) listens.set(`${UPSTREAM}${name}`, listen);
  return listens;
}
