import type { ClustersAnswer, ConnectionsAnswer, ListenerAnswer, ReadyAnswer } from "../control/answers.ts";
import type { RuntimeView } from "../control/runtime-view.ts";
import type { ControlView, HealthStatus } from "../control/view.ts";
import type { Explanation } from "../observability/explain/explanation.ts";
import type { ExplainedCall } from "../observability/explain/explanations.ts";
import type { LogLevel } from "../observability/log.ts";
import type { Scrape, ScrapeFormat } from "../observability/metrics.ts";
import { OPEN_METRICS, toOpenMetrics } from "../observability/open-metrics.ts";
import type { Crew } from "./crew.ts";
import { type Json, sumAnswers } from "./sum-answers.ts";
import { sumMetrics } from "./sum-metrics.ts";

/** A sidecar of several threads as people see it: what concerns calls is the sum of what the threads say. */
export class CrewView implements ControlView {
  private readonly own: RuntimeView;
  private readonly crew: Crew;

  /** `own`: the control thread's view. */
  constructor(own: RuntimeView, crew: Crew) {
    this.own = own;
    this.crew = crew;
  }

  // --- the sum ---

  async clusters(): Promise<ClustersAnswer> {
    const answers = await this.crew.ask({ kind: "clusters" });
    // The control thread carries no calls: where it has a limit whole the workers have the parts of it.
    const own = { ...this.own.clusters(), policies: [], concurrency: [], bandwidth: [] };
    // All of one type; what merges them only knows that they are JSON.
    return sumAnswers([own, ...answers] as Json[]) as unknown as ClustersAnswer;
  }

  async connections(): Promise<ConnectionsAnswer> {
    const answers = (await this.crew.ask({ kind: "connections" })) as ConnectionsAnswer[];
    const all = [this.own.connections(), ...answers];
    const listeners: unknown[] = all.map((answer) => answer.listeners);
    return {
      listeners: sumAnswers(listeners as Json[]) as unknown as readonly ListenerAnswer[],
      connections: all.flatMap(({ connections }) => connections),
    };
  }

  async metrics(format: ScrapeFormat): Promise<Scrape> {
    const { contentType, text } = await this.own.metrics("shared");
    const examples = format === "openmetrics";
    const sum = sumMetrics([text, ...((await this.crew.ask({ kind: "metrics" })) as string[])], examples);
    return format === "prometheus"
      ? { contentType, text: sum }
      : { contentType: OPEN_METRICS, text: toOpenMetrics(sum) };
  }

  async explain(id: string): Promise<readonly Explanation[]> {
    return ((await this.crew.ask({ kind: "explain", id })) as Explanation[][]).flat();
  }

  async latestCalls(count: number, failed: boolean): Promise<readonly ExplainedCall[]> {
    const answers = (await this.crew.ask({ kind: "latestCalls", count, failed })) as ExplainedCall[][];
    const all = answers.flat().toSorted((one, other) => (one.startedAt < other.startedAt ? 1 : -1));
    return all.slice(0, count);
  }

  setLogLevel(level: LogLevel): void {
    this.own.setLogLevel(level);
    this.crew.setLogLevel(level);
  }

  // --- what the control thread does for all ---

  get name(): string {
    return this.own.name;
  }

  get version(): string {
    return this.own.version;
  }

  readiness(): ReadyAnswer {
    return this.own.readiness();
  }

  live(): boolean {
    return this.own.live();
  }

  started(): boolean {
    return this.own.started();
  }

  config(): unknown {
    return this.own.config();
  }

  askApplication(service: string): Promise<HealthStatus> {
    return this.own.askApplication(service);
  }

  watchApplication(service: string, tell: (status: HealthStatus) => void): () => void {
    return this.own.watchApplication(service, tell);
  }

  drain(): void {
    this.own.drain();
  }

  quit(): void {
    this.own.quit();
  }
}
