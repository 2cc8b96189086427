import type { Registry } from "prom-client";
import { ScrapedFamilies } from "../../observability/scraped-families.ts";
import type { BandwidthLimits } from "./limits.ts";

/** What is known of limits of bandwidth. Nothing is held here: the limits are asked on scrape. */
export function registerBandwidthMetrics(registry: Registry, limits: BandwidthLimits): void {
  const of = new ScrapedFamilies(registry, ["direction", "upstream", "way"], function* () {
    for (const { bandwidth, ...labels } of limits.all()) yield [labels, bandwidth] as const;
  });
  of.gauge("outrigger_bandwidth_limit_bytes", "Octets that may pass in a second.", ({ rate }) => rate.rate);
  of.gauge(
    "outrigger_bandwidth_waiting",
    "Calls and connections that wait for their turn to send.",
    (one) => one.waiting,
  );
  of.counter(
    "outrigger_bandwidth_bytes_total",
    "Octets that have passed a limit of bandwidth.",
    ({ passed }) => passed,
  );
  of.counter(
    "outrigger_bandwidth_delayed_bytes_total",
    "Octets that had to wait for a limit of bandwidth.",
    ({ delayed }) => delayed,
  );
}
