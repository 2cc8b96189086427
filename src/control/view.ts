import type { Explanation } from "../observability/explain/explanation.ts";
import type { ExplainedCall } from "../observability/explain/explanations.ts";
import type { LogLevel } from "../observability/log.ts";
import type { Scrape, ScrapeFormat } from "../observability/metrics.ts";
import type { ClustersAnswer, ConnectionsAnswer, ReadyAnswer } from "./answers.ts";

/** What can be said of a service's health: grpc.health.v1's words. */
export type HealthStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

/** What the listeners for people and probes see of the sidecar, and what they may ask of it. */
export interface ControlView {
  /** How this sidecar is called. */
  readonly name: string;
  readonly version: string;

  readiness(): ReadyAnswer;
  /** False only where a restart would help. */
  live(): boolean;
  /** Has been ready once. */
  started(): boolean;
  /** The effective configuration, secrets as `***`. */
  config(): unknown;
  clusters(): ClustersAnswer | Promise<ClustersAnswer>;
  connections(): ConnectionsAnswer | Promise<ConnectionsAnswer>;
  metrics(format: ScrapeFormat): Promise<Scrape>;
  /** The calls with that id or trace id, as far as they are remembered. */
  explain(id: string): readonly Explanation[] | Promise<readonly Explanation[]>;
  latestCalls(count: number, failed: boolean): readonly ExplainedCall[] | Promise<readonly ExplainedCall[]>;

  /** Asks the application about one of its services, or with "" about the whole. NOT_SERVING where it cannot be asked. */
  askApplication(service: string): Promise<HealthStatus>;
  /**
   * Tells the health of a service now (before it returns, or as soon as it is known) and whenever it may have changed, until
   * the function that it returns is called.
   */
  watchApplication(service: string, tell: (status: HealthStatus) => void): () => void;

  /** Begins to drain; the process ends when that is done. */
  drain(): void;
  /** Ends the process now. */
  quit(): void;
  setLogLevel(level: LogLevel): void;
}
