import type { Registry } from "prom-client";
import { ScrapedFamilies } from "../observability/scraped-families.ts";
import type { ConcurrencyLimits } from "./concurrency-limits.ts";

/** What is known of learned limits. Nothing is held here: the limits are asked on scrape. `method`: "" for all of them. */
export function registerConcurrencyMetrics(registry: Registry, limits: ConcurrencyLimits): void {
  const of = new ScrapedFamilies(registry, ["direction", "upstream", "method"], function* () {
    for (const { direction, limit: upstream } of limits.all())
      for (const { method, limit } of upstream.limits())
        yield [{ direction, upstream: upstream.name, method: method ?? "" }, limit] as const;
  });
  of.gauge("outrigger_concurrency_limit", "Calls that may be under way at once, as learned.", ({ limit }) => limit);
  of.gauge("outrigger_concurrency_in_flight", "Calls under way that count.", ({ inFlight }) => inFlight);
  of.gauge("outrigger_concurrency_lowest_latency_seconds", "The latency without a queue.", ({ lowest }) =>
    seconds(lowest),
  );
  of.gauge("outrigger_concurrency_latency_seconds", "The latency now.", ({ latency }) => seconds(latency));
  of.counter("outrigger_concurrency_refused_total", "Calls that a learned limit refused.", ({ refused }) => refused);
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
