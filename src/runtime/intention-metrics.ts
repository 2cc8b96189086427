import { Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { IntentionWatch } from "./intention-watch.ts";

/** Registers what is known of intentions, filled when somebody asks. */
export function registerIntentionMetrics(registry: Registry, intentions: IntentionWatch, clock: Clock): void {
  new Gauge({
    name: "outrigger_intentions",
    help: "Intentions of Consul that are in force; no series where they do not count, or are not known yet.",
    registers: [registry],
    collect() {
      this.reset();
      const set = intentions.current.current;
      if (set === undefined) this.remove();
      else this.set(set.intentions.length);
    },
  });
  new Gauge({
    name: "outrigger_intentions_stale_seconds",
    help: "For how long the intentions of Consul could not be read; 0 while they can.",
    registers: [registry],
    collect() {
      const { staleSince } = intentions;
      this.set(staleSince === undefined ? 0 : (clock.now() - staleSince) / 1000);
    },
  });
}
