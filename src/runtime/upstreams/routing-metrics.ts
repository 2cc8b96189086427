import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../../core/clock.ts";
import type { UpstreamChain } from "./chain.ts";

/** Registers what is known of how Consul routes upstreams, filled when somebody asks. */
export function registerRoutingMetrics(registry: Registry, chains: () => Iterable<UpstreamChain>, clock: Clock): void {
  const registers = [registry];
  const labelNames = ["upstream"];
  new Gauge({
    name: "outrigger_consul_routing_age_seconds",
    help: "Time since Consul last said how calls of an upstream are routed.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { name: upstream, state } of chains())
        if (state.kind === "known") this.set({ upstream }, Math.max(0, clock.wall() - state.updatedAt) / 1000);
    },
  });
  new Counter({
    name: "outrigger_consul_routing_changes_total",
    help: "Answers of Consul by which calls of an upstream are routed otherwise than before.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { name: upstream, changes } of chains()) this.inc({ upstream }, changes);
    },
  });
  new Gauge({
    name: "outrigger_consul_routing_not_obeyed",
    help: "Parts of an upstream's config entries in Consul that are not obeyed; /clusters names them.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { name: upstream, problems } of chains()) this.set({ upstream }, problems.length);
    },
  });
}
