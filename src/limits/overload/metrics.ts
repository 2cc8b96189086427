import { Counter, Gauge, type Registry } from "prom-client";
import type { ActionState, Overload } from "./overload.ts";

/** What is known of overload. Nothing is held here: it is read on scrape as the last look has left it. */
export function registerOverloadMetrics(registry: Registry, overload: Overload): void {
  const registers = [registry];
  new Gauge({
    name: "outrigger_overload_pressure",
    help: "The share of its limit that is used of each resource that is watched: memory, heap, loopDelay.",
    labelNames: ["resource"],
    registers,
    collect() {
      this.reset();
      for (const { name, pressure } of overload.seen) this.set({ resource: name }, pressure);
    },
  });
  new Gauge({
    name: "outrigger_overload_limit",
    help: "The limit of each resource that is watched: octets, or seconds of loopDelay.",
    labelNames: ["resource"],
    registers,
    collect() {
      this.reset();
      for (const { name, limit, unit } of overload.seen)
        this.set({ resource: name }, unit === "octets" ? limit : limit / 1000);
    },
  });
  new Gauge({
    name: "outrigger_overload_action_active",
    help: "Whether an action against overload is taken now: 1 or 0.",
    labelNames: ["action"],
    registers,
    collect() {
      for (const { name, since } of overload.actions) this.set({ action: name }, since === undefined ? 0 : 1);
    },
  });
  const counter = (name: string, help: string, read: (action: ActionState) => number): void => {
    new Counter({
      name,
      help,
      labelNames: ["action"],
      registers,
      collect() {
        this.reset();
        for (const action of overload.actions) this.inc({ action: action.name }, read(action));
      },
    });
  };
  counter("outrigger_overload_actions_total", "How often an action against overload has begun.", ({ times }) => times);
  counter(
    "outrigger_overload_effects_total",
    "What actions against overload came to: calls refused, connections asked to go, collections of garbage.",
    ({ effects }) => effects,
  );
}
