import type { AttemptReport } from "./attempt-report.ts";
import { decodeOrca } from "./orca.ts";

/** How load reports become weights, after gRFC A58. Times in milliseconds. */
export interface LoadSettings {
  /** An endpoint has to have reported for so long before its weight counts. */
  readonly blackout: number;
  /** A weight without a new report is forgotten after this. */
  readonly expiration: number;
  /** How often the weights are worked out anew. */
  readonly update: number;
  /** How much errors a call count as utilization. */
  readonly errorPenalty: number;
  /** Metrics to go by where application_utilization is not reported, the largest of them (gRFC A114). */
  readonly metrics: readonly string[];
}

/** What gRFC A58 has by default. */
export const defaultLoadSettings: LoadSettings = {
  blackout: 10_000,
  expiration: 180_000,
  update: 1000,
  errorPenalty: 1,
  metrics: [],
};

/** Of reports that come faster than this one is read: weights are worked out far less often. Milliseconds. */
const READ_EVERY = 50;

/** What one endpoint's load reports come to. */
export class LoadWeight {
  private readonly settings: () => LoadSettings;
  private weight = 0;
  private readAt = Number.NEGATIVE_INFINITY;
  private reportedAt = Number.NEGATIVE_INFINITY;
  private since = Number.POSITIVE_INFINITY;

  constructor(settings: () => LoadSettings) {
    this.settings = settings;
  }

  /** Reads the report in an answer's trailers, where there is one. */
  take({ trailers, endedAt }: AttemptReport): void {
    if (trailers === undefined || endedAt - this.readAt < READ_EVERY) return;
    const text = trailers.get("endpoint-load-metrics-bin");
    if (text === undefined) return;
    this.readAt = endedAt;
    const metrics = decodeOrca(text)?.metrics;
    if (metrics === undefined) return;
    const { errorPenalty, metrics: names, expiration } = this.settings();
    const rate = metrics.get("rps_fractional") ?? 0;
    const load = utilization(metrics, names);
    if (!(rate > 0 && load > 0)) return;
    const errors = (metrics.get("eps") ?? 0) / rate;
    this.weight = rate / (load + errors * errorPenalty);
    if (endedAt - this.reportedAt >= expiration) this.since = endedAt;
    this.reportedAt = endedAt;
  }

  /** Calls that it can take beside the others; undefined while that is not known. */
  at(now: number): number | undefined {
    const { blackout, expiration } = this.settings();
    if (now - this.reportedAt >= expiration || now - this.since < blackout) return undefined;
    return Number.isFinite(this.weight) && this.weight > 0 ? this.weight : undefined;
  }
}

function utilization(metrics: ReadonlyMap<string, number>, names: readonly string[]): number {
  const own = metrics.get("application_utilization") ?? 0;
  if (own > 0) return own;
  const custom = Math.max(0, ...names.map((name) => metrics.get(name) ?? 0));
  return custom > 0 ? custom : (metrics.get("cpu_utilization") ?? 0);
}
