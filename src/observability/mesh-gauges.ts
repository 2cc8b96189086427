import { Counter, Gauge, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";
import { type BalancingFigures, registerBalancingMetrics } from "./balancing-metrics.ts";

/** What the gauges ask of the runtime when they are read. Upstreams are configured or resolved names only. */
export interface MetricsView {
  /** Endpoints of each upstream by state; states without an endpoint may be left out. */
  endpoints(): Iterable<{ readonly upstream: string; readonly state: string; readonly count: number }>;
  connections(): Iterable<{ readonly direction: Direction; readonly upstream: string; readonly count: number }>;
  /** Calls that are under way on connections: of callers, and to endpoints. */
  streams(): Iterable<{ readonly direction: Direction; readonly upstream: string; readonly count: number }>;
  /** Answers of discovery that changed the endpoints of an upstream. */
  discoveryChanges(): Iterable<{ readonly upstream: string; readonly count: number }>;
  /** Configurations applied so far: 1 after the start. */
  configVersion(): number;
  /** Whether the last reload was taken; true while there was none. */
  lastReloadSucceeded(): boolean;
  balancing(): Iterable<BalancingFigures>;
  /** Seconds since the discovery source last confirmed what it knows of an upstream; those never answered are left out. */
  discoveryAges(): Iterable<{ readonly upstream: string; readonly seconds: number }>;
  /** Callers' connections that are open, by what they speak. */
  inboundTransports(): Iterable<{ readonly transport: "plaintext" | "tls"; readonly count: number }>;
  /** Seconds until the own certificate ends, negative after that; undefined where there is none. */
  certificateExpiry(): number | undefined;
}

/** Registers the gauges of the mesh. They hold nothing: the view is asked on scrape. */
export function registerMeshGauges(registry: Registry, view: MetricsView): void {
  const registers = [registry];
  registerBalancingMetrics(registry, () => view.balancing());
  new Gauge({
    name: "outrigger_endpoints",
    help: "Endpoints known of an upstream, by state.",
    labelNames: ["upstream", "state"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, state, count } of view.endpoints()) this.set({ upstream, state }, count);
    },
  });
  new Gauge({
    name: "outrigger_connections",
    help: "Open HTTP/2 connections.",
    labelNames: ["direction", "upstream"],
    registers,
    collect() {
      this.reset();
      for (const { direction, upstream, count } of view.connections()) this.set({ direction, upstream }, count);
    },
  });
  new Gauge({
    name: "outrigger_streams",
    help: "Open HTTP/2 streams, on callers' connections (inbound and outbound with an empty upstream) and to endpoints.",
    labelNames: ["direction", "upstream"],
    registers,
    collect() {
      this.reset();
      for (const { direction, upstream, count } of view.streams()) this.set({ direction, upstream }, count);
    },
  });
  new Counter({
    name: "outrigger_discovery_changes_total",
    help: "Answers of the discovery source that changed the endpoints of an upstream.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, count } of view.discoveryChanges()) this.inc({ upstream }, count);
    },
  });
  new Gauge({
    name: "outrigger_config_version",
    help: "Configurations applied so far, 1 at start.",
    registers,
    collect() {
      this.set(view.configVersion());
    },
  });
  new Gauge({
    name: "outrigger_config_last_reload_success",
    help: "Whether the last configuration that was offered is in force: 1 or 0.",
    registers,
    collect() {
      this.set(view.lastReloadSucceeded() ? 1 : 0);
    },
  });
  new Gauge({
    name: "outrigger_discovery_age_seconds",
    help: "Time since the discovery source last answered for an upstream.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, seconds } of view.discoveryAges()) this.set({ upstream }, seconds);
    },
  });
  new Gauge({
    name: "outrigger_inbound_connections",
    help: "Open connections of callers, by what they speak.",
    labelNames: ["transport"],
    registers,
    collect() {
      this.reset();
      for (const { transport, count } of view.inboundTransports()) this.set({ transport }, count);
    },
  });
  new Gauge({
    name: "outrigger_tls_certificate_expiry_seconds",
    help: "Time until the own certificate ends, negative once it has.",
    registers,
    collect() {
      this.reset();
      const seconds = view.certificateExpiry();
      if (seconds === undefined) this.remove();
      else this.set(seconds);
    },
  });
}
