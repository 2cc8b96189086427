import { Gauge, Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import { mergeMetrics, scrapeApplication } from "./application-metrics.ts";
import { CallMetrics, type MetricNames } from "./call-metrics.ts";
import { CaptureMetrics } from "./capture-metrics.ts";
import { registerLoopDelay } from "./loop-delay.ts";
import { type MetricsView, registerMeshGauges } from "./mesh-gauges.ts";
import { OPEN_METRICS, toOpenMetrics } from "./open-metrics.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { RefusedConnections } from "./refused-connections.ts";
import { TlsMetrics } from "./tls-metrics.ts";

/** The answer to a scrape. */
export interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

/** `shared`: Prometheus' text with exemplars, to be added up with that of other threads. */
export type ScrapeFormat = "prometheus" | "openmetrics" | "shared";

/** `metrics`, as the configuration has it. */
export interface MetricsOptions {
  readonly names: MetricNames;
  /** The URL of the application's own. */
  readonly application: string | undefined;
}

/** All metrics of a process. Nothing is computed before somebody asks. */
export class Metrics {
  /** For families of other parts; their names are their own. */
  readonly registry = new Registry();
  readonly calls: CallMetrics;
  readonly tls: TlsMetrics;
  readonly captured: CaptureMetrics;
  readonly refused: RefusedConnections;
  /** In force from the next scrape on. */
  private current: MetricsOptions = { names: "outrigger", application: undefined };
  private readonly clock: Clock;
  private readonly merged: Gauge;

  constructor(version: string, clock: Clock) {
    this.clock = clock;
    this.calls = new CallMetrics(this.registry);
    this.tls = new TlsMetrics(this.registry);
    this.captured = new CaptureMetrics(this.registry);
    this.refused = new RefusedConnections(this.registry);
    registerProcessMetrics(this.registry, version, clock);
    const registers = [this.registry];
    this.merged = new Gauge({
      name: "outrigger_application_scrape_success",
      help: "Whether the application's own metrics are in this scrape: 1 or 0; nothing where metrics.application is not set.",
      registers,
      collect() {},
    });
    this.merged.remove();
  }

  get options(): MetricsOptions {
    return this.current;
  }

  set options(options: MetricsOptions) {
    this.current = options;
    this.calls.metered = options.names === "otel";
  }

  /** Adds what the runtime knows; called once, when there is one. */
  watch(view: MetricsView): void {
    registerMeshGauges(this.registry, view);
    registerLoopDelay(this.registry, this.clock);
  }

  async scrape(format: ScrapeFormat = "prometheus"): Promise<Scrape> {
    const { clock, options } = this;
    const theirs = await this.application(options.application);
    const offset = clock.wall() - clock.now();
    const wall = format !== "prometheus" ? (at: number) => at + offset : undefined;
    const own = `${await this.registry.metrics()}\n${this.calls.render(options.names, wall)}`;
    const text = theirs === undefined ? own : mergeMetrics(own, theirs);
    if (format === "openmetrics") return { contentType: OPEN_METRICS, text: toOpenMetrics(text) };
    return { contentType: this.registry.contentType, text };
  }

  private async application(url: string | undefined): Promise<string | undefined> {
    if (url === undefined) {
      this.merged.remove();
      return undefined;
    }
    try {
      const text = await scrapeApplication(url);
      this.merged.set(1);
      return text;
    } catch {
      this.merged.set(0);
      return undefined;
    }
  }
}
