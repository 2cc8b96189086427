import { Counter, Gauge, type Registry } from "prom-client";
import type { Crew } from "./crew.ts";

/** Of a sidecar with several workers. */
export function registerCrewMetrics(registry: Registry, crew: Pick<Crew, "size" | "restarts">): void {
  const registers = [registry];
  new Gauge({
    name: "outrigger_workers",
    help: "Threads that carry calls.",
    registers,
    collect() {
      this.set(crew.size);
    },
  });
  new Counter({
    name: "outrigger_worker_restarts_total",
    help: "Workers that ended by themselves and were replaced.",
    registers,
    collect() {
      this.reset();
      this.inc(crew.restarts);
    },
  });
}
