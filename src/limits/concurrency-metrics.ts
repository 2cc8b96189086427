import { Counter, Gauge, type Registry } from "prom-client";
import type { AdaptiveLimit } from "./adaptive-limit.ts";
import type { ConcurrencyLimits } from "./concurrency-limits.ts";

const labelNames = ["direction", "upstream", "method"] as const;

/** What is known of learned limits. Nothing is held here: the limits are asked on scrape. `method`: "" for all of them. */
export function registerConcurrencyMetrics(registry: Registry, limits: ConcurrencyLimits): void {
  const each = function* () {
    for (const { direction, limit: upstream } of limits.all())
      for (const { method, limit } of upstream.limits())
        yield { labels: { direction, upstream: upstream.name, method: method ?? "" }, limit };
  };
  const gauge = (name: string, help: string, value: (limit: AdaptiveLimit) => number | undefined): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, limit } of each()) {
          const known = value(limit);
          if (known !== undefined) this.set(labels, known);
        }
      },
    });
  };
  gauge("outrigger_concurrency_limit", "Calls that may be under way at once, as learned.", ({ limit }) => limit);
  gauge("outrigger_concurrency_in_flight", "Calls under way that count.", ({ inFlight }) => inFlight);
  gauge("outrigger_concurrency_lowest_latency_seconds", "The latency without a queue.", ({ lowest }) =>
    seconds(lowest),
  );
  gauge("outrigger_concurrency_latency_seconds", "The latency now.", ({ latency }) => seconds(latency));
  new Counter({
    name: "outrigger_concurrency_refused_total",
    help: "Calls that a learned limit refused.",
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, limit } of each()) this.inc(labels, limit.refused);
    },
  });
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
