import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { PolicyState, UpstreamPolicies } from "./upstream-policies.ts";

/** Registers what the policies of upstreams have done, filled when somebody asks. */
export function registerPolicyMetrics(registry: Registry, policies: () => UpstreamPolicies, clock: Clock): void {
  const registers = [registry];
  const retrying = function* (): IterableIterator<PolicyState> {
    for (const state of policies().all()) if (state.retry !== undefined) yield state;
  };
  new Counter({
    name: "outrigger_retries_total",
    help: "Further attempts that a retry policy made: after a failure, or beside an attempt without an answer (hedge).",
    labelNames: ["upstream", "kind"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries } of retrying()) {
        this.inc({ upstream, kind: "retry" }, retries.counts.retries);
        this.inc({ upstream, kind: "hedge" }, retries.counts.hedges);
      }
    },
  });
  new Counter({
    name: "outrigger_retries_refused_total",
    help: "Calls that were not made again though their status asks for it, by what spoke against it.",
    labelNames: ["upstream", "why"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries } of retrying())
        for (const [why, count] of Object.entries(retries.counts.refused)) this.inc({ upstream, why }, count);
    },
  });
  new Gauge({
    name: "outrigger_retry_budget",
    help: "Further attempts of the last 10 seconds, and how many there may be.",
    labelNames: ["upstream", "value"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries, retry } of retrying()) {
        const { used, allowed } = retries.budget.state(retry?.options.budget ?? 0, clock.now());
        this.set({ upstream, value: "used" }, used);
        this.set({ upstream, value: "allowed" }, allowed);
      }
    },
  });
}
