import type { Socket } from "node:net";
import type { CaptureConfig, Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { SparingLog } from "../core/sparing-log.ts";
import type { Direction } from "../http/reason.ts";
import { Listener } from "../net/listener.ts";
import { type OriginalDestination, openOriginalDestination } from "../net/original-destination.ts";
import { Captured, type Passage } from "../proxy/captured.ts";
import { LoopGuard } from "../proxy/loop-guard.ts";
import { type RelayCounts, Relays } from "../proxy/relay.ts";
import type { Arrival } from "../proxy/sockets/socket-acceptor.ts";
import { onwardProblem } from "./egress.ts";
import type { CallListener } from "./listeners.ts";
import type { ProcessServices } from "./services.ts";
import type { Upstreams } from "./upstreams/upstreams.ts";

/** What captured connections need of the rest. */
export interface CaptureHost {
  /** In force; asked for each connection. */
  readonly config: () => Config;
  /** Where this process listens, these listeners included. */
  readonly own: () => readonly Address[];
  /** Takes a connection of the mesh. */
  readonly mesh: Readonly<
    Record<Direction, (socket: Socket, peer: string, arrived: Buffer | undefined, to: Address | undefined) => void>
  >;
  /** What upstreams are declared, by what captured connections say or where they go. */
  readonly upstreams: () => Pick<Upstreams, "isDeclared" | "http1" | "tcpAt" | "tcpNamed">;
  /** Takes requests of HTTP/1.1 of the application. */
  readonly http1: (arrival: Arrival) => void;
  /** Takes a connection of the application as a call of an upstream that speaks TCP. */
  readonly call: (arrival: Arrival, upstream: string) => void;
}

/** The listeners that redirected connections come in at, and what is passed on of them. */
export class Capture {
  readonly relays: Readonly<Record<Direction, Relays>>;
  readonly counts: Readonly<Record<Direction, RelayCounts>> = {
    inbound: { sent: 0, received: 0 },
    outbound: { sent: 0, received: 0 },
  };
  private readonly loops: LoopGuard;
  private readonly services: ProcessServices;
  private readonly host: CaptureHost;
  private bound: { readonly direction: Direction; readonly listener: Listener }[] = [];

  /** `ends`: what this thread shares with others, see `LoopGuard`. */
  constructor(services: ProcessServices, host: CaptureHost, ends?: SharedArrayBuffer) {
    this.services = services;
    this.host = host;
    this.loops = new LoopGuard(ends);
    const { clock } = services;
    const { loops } = this;
    this.relays = {
      inbound: new Relays({ clock, counts: this.counts.inbound, loops }),
      outbound: new Relays({ clock, counts: this.counts.outbound, loops }),
    };
  }

  /** Binds where `capture` says; `shared`: as other threads of this process do. Rejects with a BindError. */
  async bind(capture: CaptureConfig, shared: boolean): Promise<void> {
    const destination = await openOriginalDestination();
    const log = this.services.log.logger;
    if (typeof destination === "string")
      log.warn(
        `where captured connections were going is not known: ${destination}; only HTTP/2 is taken, by its :authority`,
      );
    const known = typeof destination === "string" ? undefined : destination;
    await this.open("inbound", capture.inbound, known, shared);
    await this.open("outbound", capture.outbound, known, shared);
    const beside = besideIt(capture.outbound);
    // A machine without IPv6 has nothing to be redirected there.
    if (beside !== undefined)
      await this.open("outbound", beside, known, shared).catch((error: unknown) =>
        log.debug({ err: error }, "captured connections over IPv6 are not taken"),
      );
  }

  /** For metrics. */
  *relayed(): IterableIterator<{ direction: Direction; open: number; sent: number; received: number }> {
    for (const direction of ["inbound", "outbound"] as const)
      yield { direction, open: this.relays[direction].size, ...this.counts[direction] };
  }

  /** Where redirected connections come in, in this thread or in others. */
  addresses(): Address[] {
    const { capture } = this.host.config();
    if (capture === undefined) return [];
    const { inbound, outbound } = capture;
    return [inbound, outbound, besideIt(outbound)].filter((address) => address !== undefined);
  }

  /** What comes in where, by the name of the listener in metrics. */
  listeners(): CallListener[] {
    return this.bound.map(({ direction, listener }) => ({ name: `capture.${direction}`, listener }));
  }

  /** Takes no more connections of a direction; those that are passed on go on. */
  stopAccepting(direction: Direction): void {
    for (const bound of this.bound) if (bound.direction === direction) bound.listener.stopAccepting();
  }

  /** Ends what is left of both directions; returns how many connections that were. */
  closeAll(): number {
    return this.relays.inbound.closeAll() + this.relays.outbound.closeAll();
  }

  async close(): Promise<void> {
    this.closeAll();
    await Promise.all(this.bound.map(({ listener }) => listener.close()));
  }

  private async open(
    direction: Direction,
    address: Address,
    known: OriginalDestination | undefined,
    shared: boolean,
  ): Promise<void> {
    const log = this.services.log.logger;
    const { clock, metrics, connections: budget, callerConnections } = this.services;
    const captured = new Captured({
      direction,
      destination: known,
      passage: (to) => (direction === "inbound" ? this.inbound(to) : this.outbound(to)),
      mesh: this.host.mesh[direction],
      takesHttp1: (to) => direction === "outbound" && this.takesHttp1(to),
      http1: this.host.http1,
      named: (name) => (direction === "outbound" ? this.host.upstreams().tcpNamed(name) : undefined),
      call: this.host.call,
      relays: this.relays[direction],
      loops: this.loops,
      counted: (result, spoken) => metrics.captured.count(direction, result, spoken),
      clock,
      log,
    });
    const refusals = new SparingLog(
      log,
      "warn",
      "a captured connection was closed at once: too many are open, or the sidecar is overloaded",
      clock,
    );
    const failures = new SparingLog(log, "error", "a captured connection could not be taken", clock);
    const listener = await Listener.bind(
      address,
      { limits: callerConnections[direction].limits, allowHalfOpen: true, shared, budget },
      {
        onConnection: (socket, peer) => captured.take(socket, peer),
        onRefused: (limit, most) => {
          metrics.refused.count(`capture.${direction}`, limit);
          refusals.tell({ direction, limit, most });
        },
        onError: (error) => failures.tell({ direction, err: error }),
      },
    );
    this.bound.push({ direction, listener });
    log.info({ address: formatAddress(listener.address) }, `taking captured ${direction} connections`);
  }

  /** Others may reach the service, by the mesh, and its pod's other ports where that is wanted: never what is on loopback. */
  private inbound(to: Address): Passage {
    const config = this.host.config();
    const { service, capture } = config;
    const problem = onwardProblem(config, "inbound", to, this.host.own());
    if (problem !== undefined) return { kind: "refuse", why: problem };
    if (to.kind === "tcp" && service?.address.kind === "tcp" && to.port === service.address.port)
      return { kind: "mesh" };
    if (capture?.otherPorts === "refuse")
      return { kind: "refuse", why: "it is to another port than the service's, and capture.otherPorts is refuse" };
    return { kind: "relay", onward: to };
  }

  private takesHttp1(to: Address | undefined): boolean {
    const declared = to?.kind === "tcp" && this.host.config().protocols.get(String(to.port)) === "http1";
    return declared || this.host.upstreams().http1;
  }

  private outbound(to: Address): Passage {
    const config = this.host.config();
    const declared = to.kind === "tcp" ? config.protocols.get(String(to.port)) : undefined;
    if (declared === "http2") return { kind: "mesh" };
    const upstream = this.host.upstreams().tcpAt(to);
    if (upstream !== undefined) return { kind: "call", upstream };
    const problem =
      onwardProblem(config, "outbound", to, this.host.own()) ??
      (config.egress === "declared" && !this.host.upstreams().isDeclared(to)
        ? "egress is declared, and no upstream is there"
        : undefined);
    if (declared === "tcp")
      return problem === undefined ? { kind: "relay", onward: to } : { kind: "refuse", why: problem };
    // HTTP/2 goes by its :authority, wherever its address leads.
    return { kind: "look", onward: problem === undefined ? to : undefined };
  }
}

/** A rule sends what the application has for IPv6 to the same port of [::1]. */
function besideIt(outbound: Address): Address | undefined {
  return outbound.kind === "tcp" && outbound.host === "127.0.0.1" ? { ...outbound, host: "::1" } : undefined;
}
