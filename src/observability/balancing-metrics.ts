import { Counter, Gauge, type Registry } from "prom-client";

/** How an upstream's endpoints are chosen, as its metrics say it. */
export interface BalancingFigures {
  readonly upstream: string;
  readonly panic: boolean;
  /** Undefined while too few calls were made to say. */
  readonly skew: number | undefined;
  /** So far, by cause. */
  readonly ejections: ReadonlyMap<string, number>;
  readonly suppressed: number;
  /** Undefined where it does not matter. */
  readonly overLimit: number | undefined;
}

/** Registers what is known of balancing and passive health. Nothing is held: the view is asked on scrape. */
export function registerBalancingMetrics(registry: Registry, figures: () => Iterable<BalancingFigures>): void {
  const registers = [registry];
  new Counter({
    name: "outrigger_ejections_total",
    help: "Endpoints taken out by outlier detection.",
    labelNames: ["upstream", "cause"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, ejections } of figures())
        for (const [cause, count] of ejections) this.inc({ upstream, cause }, count);
    },
  });
  new Counter({
    name: "outrigger_ejections_suppressed_total",
    help: "Endpoints that outlier detection would have taken out, had not too many been out already.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, suppressed } of figures()) this.inc({ upstream }, suppressed);
    },
  });
  new Counter({
    name: "outrigger_load_bias_refusals_total",
    help: "Calls that endpoints refused as too many, for which loadBias gives them fewer.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, overLimit } of figures()) if (overLimit !== undefined) this.inc({ upstream }, overLimit);
    },
  });
  new Gauge({
    name: "outrigger_upstream_panic",
    help: "Whether so few endpoints are healthy that health is ignored: 1 or 0.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, panic } of figures()) this.set({ upstream }, panic ? 1 : 0);
    },
  });
  new Gauge({
    name: "outrigger_endpoint_skew",
    help: "Calls of the endpoint that got the most for its weight in the last ten seconds or more, as a multiple of the mean.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, skew } of figures()) if (skew !== undefined) this.set({ upstream }, skew);
    },
  });
}
