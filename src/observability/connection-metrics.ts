import { Counter, Gauge, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";

/** A listener for calls that is bound. */
export interface ListenerFigures {
  readonly name: string;
  readonly listener: { readonly connections: number; readonly limits: { readonly maxConnections: number } };
}

/** What is known of connections. */
export interface ConnectionFigures {
  listeners(): Iterable<ListenerFigures>;
  /** Callers that were asked to go, by the setting. */
  asked(direction: Direction): Readonly<Record<string, number>>;
  /** Connections to endpoints that were given up for others, by the setting. */
  retired(): Iterable<{ readonly upstream: string; readonly by: Readonly<Record<string, number>> }>;
}

/** Registers for how long connections are used, and how many come in; the figures are read on scrape. */
export function registerConnectionMetrics(registry: Registry, figures: ConnectionFigures): void {
  const registers = [registry];
  new Gauge({
    name: "outrigger_listener_connections",
    help: "Connections that are open at each listener for calls.",
    labelNames: ["listener"],
    registers,
    collect() {
      this.reset();
      for (const { name, listener } of figures.listeners()) this.inc({ listener: name }, listener.connections);
    },
  });
  new Gauge({
    name: "outrigger_listener_connections_limit",
    help: "Connections that may be open at each listener for calls: connections.DIRECTION.max.",
    labelNames: ["listener"],
    registers,
    collect() {
      this.reset();
      for (const { name, listener } of figures.listeners())
        this.set({ listener: name }, listener.limits.maxConnections);
    },
  });
  new Counter({
    name: "outrigger_connections_asked_to_go_total",
    help: "Callers that were asked to go on over another connection, by the setting of connections.DIRECTION: maxAge, maxRequests, idleTimeout.",
    labelNames: ["direction", "limit"],
    registers,
    collect() {
      this.reset();
      for (const direction of ["inbound", "outbound"] as const)
        for (const [limit, count] of Object.entries(figures.asked(direction))) this.inc({ direction, limit }, count);
    },
  });
  new Counter({
    name: "outrigger_endpoint_connections_retired_total",
    help: "Connections to endpoints that were given up for others, by the setting of upstreams.NAME.connections: maxAge, maxRequests.",
    labelNames: ["upstream", "limit"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, by } of figures.retired())
        for (const limit of ["maxAge", "maxRequests"]) this.inc({ upstream, limit }, by[limit] ?? 0);
    },
  });
}
