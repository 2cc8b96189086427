import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import { QuotaLimit } from "./quota/limit.ts";
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
  const quotaCounter = (name: string, help: string, value: "reports" | "assignments"): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const limit of limits.all())
          if (limit instanceof QuotaLimit && limit.place.kind === "here")
            this.inc(labelsOf(limit), limit.place.stream[value]);
      },
    });
  };
  const gauge = (name: string, help: string, value: (limit: RateLimit) => number): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const limit of limits.all()) if (limit instanceof RateLimit) this.set(labelsOf(limit), value(limit));
      },
    });
  };
  gauge("outrigger_rate_limit_per_second", "What a rate limit lets through of each key.", ({ pace }) => {
    return (pace.amount * 1000) / pace.per;
  });
  gauge("outrigger_rate_limit_leased", "Calls leased of the store and not used yet.", ({ held }) => held);
  new Gauge({
    name: "outrigger_rate_limit_keys",
    help: "Keys that a rate limit tells apart.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all())
        if (!(limit instanceof ServiceLimit)) this.set(labelsOf(limit), limit.table.size);
    },
  });
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
  quotaCounter(
    "outrigger_rate_limit_quota_reports_total",
    "Reports of usage to the service that assigns quotas.",
    "reports",
  );
  quotaCounter("outrigger_rate_limit_quota_assignments_total", "Assignments of that service.", "assignments");
  new Counter({
    name: "outrigger_rate_limit_overflow_total",
    help: "Calls whose key found no room and shared one with others.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all())
        if (!(limit instanceof ServiceLimit)) this.inc(labelsOf(limit), limit.table.overflowed);
    },
  });
  new Gauge({
    name: "outrigger_rate_limit_store_up",
    help: "Whether the store or the service of a rate limit answered when it was last asked: 1 or 0.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all()) {
        const up = limit instanceof RateLimit ? limit.store?.up : limit.up;
        if (up !== undefined) this.set(labelsOf(limit), up ? 1 : 0);
      }
    },
  });
  new Counter({
    name: "outrigger_rate_limit_store_failures_total",
    help: "Questions to the store or the service of a rate limit that were not answered.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const limit of limits.all()) {
        const failures = limit instanceof RateLimit ? limit.store?.failures : limit.failures;
        if (failures !== undefined) this.inc(labelsOf(limit), failures);
      }
    },
  });
}
