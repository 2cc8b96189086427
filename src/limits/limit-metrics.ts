import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import { ScrapedFamilies } from "../observability/scraped-families.ts";
import type { KeyTable } from "./key-table.ts";
import { QuotaLimit } from "./quota/limit.ts";
import type { QuotaStream } from "./quota/stream.ts";
import { RateLimit } from "./rate-limit.ts";
import type { AnyLimit, RateLimits } from "./rate-limits.ts";
import { ServiceLimit } from "./service-limit.ts";

const labelNames = ["limit", "direction"] as const;

/** What is counted of rate limits. Nothing is held here: the limits are asked on scrape. */
export function registerLimitMetrics(registry: Registry, limits: RateLimits, clock: Clock): void {
  const registers = [registry];
  const labelsOf = ({ options: { name, direction } }: AnyLimit) => ({ limit: name, direction });
  new Counter({
    name: "outrigger_rate_limited_total",
    help: "Calls that a rate limit refused; with mode shadow: would have refused.",
    labelNames: [...labelNames, "mode"],
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all()) this.inc({ ...labelsOf(limit), mode: limit.options.mode }, limit.refused);
    },
  });
  const of = new ScrapedFamilies(registry, labelNames, function* () {
    for (const limit of limits.all()) yield [labelsOf(limit), limit] as const;
  });
  of.gauge("outrigger_rate_limit_per_second", "What a rate limit lets through of each key.", (limit) =>
    limit instanceof RateLimit ? (limit.pace.amount * 1000) / limit.pace.per : undefined,
  );
  of.gauge("outrigger_rate_limit_leased", "Calls leased of the store and not used yet.", (limit) =>
    limit instanceof RateLimit ? limit.held : undefined,
  );
  of.gauge("outrigger_rate_limit_keys", "Keys that a rate limit tells apart.", (limit) => tableOf(limit)?.size);
  new Gauge({
    name: "outrigger_rate_limit_quota_buckets",
    help: "Keys of limits whose quota a service assigns, by whether an assignment is in force: assigned, expired or unassigned.",
    labelNames: [...labelNames, "state"],
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all()) {
        if (!(limit instanceof QuotaLimit)) continue;
        for (const [state, count] of Object.entries(limit.states(clock.now())))
          this.set({ ...labelsOf(limit), state }, count);
      }
    },
  });
  of.counter(
    "outrigger_rate_limit_quota_reports_total",
    "Reports of usage to the service that assigns quotas.",
    (limit) => streamOf(limit)?.reports,
  );
  of.counter(
    "outrigger_rate_limit_quota_assignments_total",
    "Assignments of that service.",
    (limit) => streamOf(limit)?.assignments,
  );
  of.counter(
    "outrigger_rate_limit_overflow_total",
    "Calls whose key found no room and shared one with others.",
    (limit) => tableOf(limit)?.overflowed,
  );
  of.gauge(
    "outrigger_rate_limit_store_up",
    "Whether the store or the service of a rate limit answered when it was last asked: 1 or 0.",
    (limit) => {
      const up = askedOf(limit)?.up;
      return up === undefined ? undefined : Number(up);
    },
  );
  of.counter(
    "outrigger_rate_limit_store_failures_total",
    "Questions to the store or the service of a rate limit that were not answered.",
    (limit) => askedOf(limit)?.failures,
  );
}

/** The keys of a limit, where they are told apart here. */
function tableOf(limit: AnyLimit): KeyTable | undefined {
  return limit instanceof ServiceLimit ? undefined : limit.table;
}

/** The stream to the service that assigns its quotas, where this thread has it. */
function streamOf(limit: AnyLimit): QuotaStream | undefined {
  return limit instanceof QuotaLimit && limit.place.kind === "here" ? limit.place.stream : undefined;
}

/** Whom a limit asks; undefined where it needs nobody. */
function askedOf(limit: AnyLimit): { readonly up: boolean; readonly failures: number } | undefined {
  return limit instanceof RateLimit ? limit.store : limit;
}
