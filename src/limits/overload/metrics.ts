import type { Registry } from "prom-client";
import { ScrapedFamilies } from "../../observability/scraped-families.ts";
import type { Overload } from "./overload.ts";

/** What is known of overload. Nothing is held here: it is read on scrape as the last look has left it. */
export function registerOverloadMetrics(registry: Registry, overload: Overload): void {
  const resources = new ScrapedFamilies(registry, ["resource"], function* () {
    for (const seen of overload.seen) yield [{ resource: seen.name }, seen] as const;
  });
  resources.gauge(
    "outrigger_overload_pressure",
    "The share of its limit that is used of each resource that is watched: memory, heap, loopDelay.",
    ({ pressure }) => pressure,
  );
  resources.gauge(
    "outrigger_overload_limit",
    "The limit of each resource that is watched: octets, or seconds of loopDelay.",
    ({ limit, unit }) => (unit === "octets" ? limit : limit / 1000),
  );
  const actions = new ScrapedFamilies(registry, ["action"], function* () {
    for (const action of overload.actions) yield [{ action: action.name }, action] as const;
  });
  actions.gauge(
    "outrigger_overload_action_active",
    "Whether an action against overload is taken now: 1 or 0.",
    ({ since }) => (since === undefined ? 0 : 1),
  );
  actions.counter(
    "outrigger_overload_actions_total",
    "How often an action against overload has begun.",
    ({ times }) => times,
  );
  actions.counter(
    "outrigger_overload_effects_total",
    "What actions against overload came to: calls refused, connections asked to go, collections of garbage.",
    ({ effects }) => effects,
  );
}
