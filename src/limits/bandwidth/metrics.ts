import { Counter, Gauge, type Registry } from "prom-client";
import type { Bandwidth } from "./bandwidth.ts";
import type { BandwidthLimits } from "./limits.ts";

const labelNames = ["direction", "upstream", "way"] as const;

/** What is known of limits of bandwidth. Nothing is held here: the limits are asked on scrape. */
export function registerBandwidthMetrics(registry: Registry, limits: BandwidthLimits): void {
  const registers = [registry];
  const gauge = (name: string, help: string, value: (bandwidth: Bandwidth) => number): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { bandwidth, ...labels } of limits.all()) this.set(labels, value(bandwidth));
      },
    });
  };
  const counter = (name: string, help: string, value: (bandwidth: Bandwidth) => number): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { bandwidth, ...labels } of limits.all()) this.inc(labels, value(bandwidth));
      },
    });
  };
  gauge("outrigger_bandwidth_limit_bytes", "Octets that may pass in a second.", ({ rate }) => rate.rate);
  gauge("outrigger_bandwidth_waiting", "Calls and connections that wait for their turn to send.", (one) => one.waiting);
  counter("outrigger_bandwidth_bytes_total", "Octets that have passed a limit of bandwidth.", ({ passed }) => passed);
  counter(
    "outrigger_bandwidth_delayed_bytes_total",
    "Octets that had to wait for a limit of bandwidth.",
    ({ delayed }) => delayed,
  );
}
