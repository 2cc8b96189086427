import { Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import { CallMetrics } from "./call-metrics.ts";
import { type MetricsView, registerMeshGauges } from "./mesh-gauges.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { TlsMetrics } from "./tls-metrics.ts";

/** The answer to a scrape. */
export interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

/** All metrics of a process. Nothing is computed before somebody asks. */
export class Metrics {
  /** For families of other parts; their names are their own. */
  readonly registry = new Registry();
  readonly calls: CallMetrics;
  readonly tls: TlsMetrics;

  constructor(version: string, clock: Clock) {
    this.calls = new CallMetrics(this.registry);
    this.tls = new TlsMetrics(this.registry);
    registerProcessMetrics(this.registry, version, clock);
  }

  /** Adds what the runtime knows; called once, when there is one. */
  watch(view: MetricsView): void {
    registerMeshGauges(this.registry, view);
  }

  /** Everything in Prometheus' text format. */
  async scrape(): Promise<Scrape> {
    const text = await this.registry.metrics();
    return { contentType: this.registry.contentType, text: `${text}\n${this.calls.render()}` };
  }
}
