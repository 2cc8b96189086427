import type { Logger } from "pino";
import type { Clock, Timer } from "../../core/clock.ts";
import type { AttemptReport } from "../attempt-report.ts";
import type { EjectionCause, OutlierRecord } from "./record.ts";
import type { OutlierSettings } from "./settings.ts";
import { findUnusual } from "./unusual.ts";
import { judge } from "./verdict.ts";

/** An endpoint, as far as it is judged here. */
export interface Judged {
  readonly label: string;
  readonly outlier: OutlierRecord;
  /** It takes connections and its active checks, where there are any, do not say otherwise. */
  readonly standing: boolean;
}

/** Who is told, and who knows the endpoints: the cluster. */
export interface OutlierHost<E extends Judged> {
  readonly endpoints: Iterable<E>;
  ejectionChanged(endpoint: E): void;
}

/** Milliseconds after which another call is let through half-open although the first has not ended: it may be a long stream. */
const TRIAL_PATIENCE = 10_000;

/**
 * Passive health: takes endpoints out by how calls to them end, and back in by a real call.
 *
 *   in -> ejected -> halfOpen -> in
 *                 <-
 *
 * Invariants:
 * - no more than `maxEjected` of the endpoints that stand are out, whichever changes: the number or the setting;
 * - the only endpoint is never out;
 * - of the calls that one connection took with it one counts;
 * - a call that began before an endpoint was let through half-open decides nothing.
 */
export class OutlierDetection<E extends Judged> {
  /** Ejections so far, by cause. */
  readonly ejections = new Map<EjectionCause, number>();
  /** Ejections that the bound did not allow. */
  suppressed = 0;
  /** Endpoints that wait for a call. */
  halfOpen: readonly E[] = [];
  private current: OutlierSettings;
  private readonly host: OutlierHost<E>;
  private readonly clock: Clock;
  private readonly log: Logger;
  private timer: Timer | undefined = undefined;

  constructor(settings: OutlierSettings, host: OutlierHost<E>, clock: Clock, log: Logger) {
    this.current = settings;
    this.host = host;
    this.clock = clock;
    this.log = log;
    this.watch();
  }

  get settings(): OutlierSettings {
    return this.current;
  }

  /** Judges by other settings from now on. Who is out stays out for as long as it was to be, within the new bound. */
  use(settings: OutlierSettings): void {
    this.current = settings;
    this.timer?.cancel();
    this.timer = undefined;
    this.watch();
    this.keepBound();
  }

  /** An attempt is over. */
  take(endpoint: E, report: AttemptReport): void {
    const { outlier } = endpoint;
    if (this.current.mode === "disabled") return;
    if (!endpoint.standing) {
      // It is out anyway, or has left: what its last calls come to is no news.
      outlier.trying = false;
      return;
    }
    let verdict = judge(report, this.current);
    if (verdict === "bad" && report.reason === "UPSTREAM_LOST") {
      if (report.startedAt <= outlier.lostAt) verdict = "neutral";
      else outlier.lostAt = report.endedAt;
    }
    if (outlier.state.kind === "halfOpen") {
      this.tried(endpoint, report, verdict);
    } else if (verdict === "good") {
      outlier.consecutive = 0;
      outlier.good++;
    } else if (verdict === "bad") {
      outlier.consecutive++;
      outlier.bad++;
      if (outlier.consecutive >= this.current.consecutiveFailures && outlier.isIn)
        this.eject(
          endpoint,
          "consecutiveFailures",
          `${outlier.consecutive} failures in a row, the last: ${words(report)}`,
        );
    }
  }

  /** An endpoint that is to be tried by the next call, where there is one that `fits` it. */
  trial(now: number, fits: (endpoint: E) => boolean): E | undefined {
    for (const endpoint of this.halfOpen) {
      const { outlier } = endpoint;
      if (outlier.trying && now - outlier.triedAt < TRIAL_PATIENCE) continue;
      if (!endpoint.standing || !fits(endpoint)) continue;
      outlier.trying = true;
      outlier.triedAt = now;
      return endpoint;
    }
    return undefined;
  }

  /** Its process is another one, or can be reached again: what it was out for may be over. */
  cameBack(endpoint: E): void {
    if (endpoint.outlier.state.kind === "ejected") this.open(endpoint);
  }

  /** An endpoint came, went, or no longer stands: lets some back where more are out than may be. */
  keepBound(): void {
    const out = [...this.host.endpoints].filter(({ standing, outlier }) => standing && !outlier.isIn);
    let over = out.length - (this.current.mode === "disabled" ? 0 : this.allowed());
    for (const endpoint of out) {
      if (over-- <= 0) break;
      this.letIn(endpoint, "no more of the endpoints that are left may be out");
    }
  }

  /** Another thread has ejected it, `until` by the wall clock, or let it in: the same holds here. */
  obey(
    endpoint: E,
    news: { readonly cause: EjectionCause; readonly detail: string; readonly until: number } | "letIn",
  ): void {
    if (news === "letIn") {
      if (!endpoint.outlier.isIn) this.letIn(endpoint, "another thread says so");
    } else if (endpoint.outlier.isIn && this.current.mode !== "disabled") {
      const ms = news.until - this.clock.wall();
      if (ms > 0) this.eject(endpoint, news.cause, news.detail, ms);
    }
  }

  /** It is no longer in the service. */
  left(endpoint: E): void {
    const { state } = endpoint.outlier;
    if (state.kind === "ejected") state.timer.cancel();
    endpoint.outlier.state = { kind: "in" };
    this.halfOpen = this.halfOpen.filter((other) => other !== endpoint);
  }

  close(): void {
    this.timer?.cancel();
  }

  private tried(endpoint: E, report: AttemptReport, verdict: "good" | "bad" | "neutral"): void {
    const { outlier } = endpoint;
    const { state } = outlier;
    if (report.startedAt < outlier.triedAt || state.kind !== "halfOpen") return;
    outlier.trying = false;
    if (verdict === "good") this.letIn(endpoint, "a call that was let through was answered");
    else if (verdict === "bad")
      this.eject(endpoint, state.cause, `the call that was let through failed: ${words(report)}`);
  }

  /** `told`: for how long, where that is another's to say. */
  private eject(endpoint: E, cause: EjectionCause, detail: string, told?: number): void {
    const { outlier } = endpoint;
    const { clock, log } = this;
    const again = !outlier.isIn;
    if (!again && !this.mayEject()) {
      this.suppressed++;
      outlier.reset();
      return;
    }
    const { baseEjection, maxEjection } = this.current;
    const now = clock.now();
    // What was long ago is forgotten, one time for each base time that it was in.
    if (!again) outlier.times = Math.max(0, outlier.times - Math.floor((now - outlier.returnedAt) / baseEjection));
    outlier.times++;
    const ms = told ?? Math.min(baseEjection * outlier.times, Math.max(baseEjection, maxEjection));
    const timer = clock.setTimer(ms, () => this.open(endpoint));
    const since = clock.wall();
    this.halfOpen = this.halfOpen.filter((other) => other !== endpoint);
    outlier.state = { kind: "ejected", cause, detail, since, until: since + ms, timer };
    outlier.reset();
    this.ejections.set(cause, (this.ejections.get(cause) ?? 0) + 1);
    log.warn(
      { endpoint: endpoint.label, cause, times: outlier.times },
      `${endpoint.label} gets no calls for ${Math.round(ms) / 1000} s: ${detail}`,
    );
    this.host.ejectionChanged(endpoint);
  }

  private open(endpoint: E): void {
    const { outlier } = endpoint;
    const { state } = outlier;
    if (state.kind !== "ejected") return;
    state.timer.cancel();
    outlier.state = { kind: "halfOpen", cause: state.cause, detail: state.detail, since: this.clock.wall() };
    outlier.reset();
    this.halfOpen = [...this.halfOpen, endpoint];
    this.log.info({ endpoint: endpoint.label }, `${endpoint.label} is to be tried by a call`);
    this.host.ejectionChanged(endpoint);
  }

  private letIn(endpoint: E, why: string): void {
    this.left(endpoint);
    endpoint.outlier.reset();
    endpoint.outlier.returnedAt = this.clock.now();
    this.log.info({ endpoint: endpoint.label }, `${endpoint.label} gets calls again: ${why}`);
    this.host.ejectionChanged(endpoint);
  }

  private mayEject(): boolean {
    let out = 0;
    for (const { standing, outlier } of this.host.endpoints) if (standing && !outlier.isIn) out++;
    return out < this.allowed();
  }

  private allowed(): number {
    let standing = 0;
    for (const endpoint of this.host.endpoints) if (endpoint.standing) standing++;
    const { maxEjected } = this.current;
    if (standing < 2 || maxEjected === 0) return 0;
    return Math.max(1, Math.floor(standing * maxEjected + 1e-9));
  }

  private watch(): void {
    const { mode, failurePercentage, successRate, interval } = this.current;
    if (mode === "disabled" || (failurePercentage === undefined && successRate === undefined)) return;
    this.timer = this.clock.setTimer(interval, () => {
      this.look();
      this.watch();
    });
  }

  private look(): void {
    const candidates = [...this.host.endpoints].filter(({ standing, outlier }) => standing && outlier.isIn);
    for (const { endpoint, cause, detail } of findUnusual(candidates, this.current)) {
      if (endpoint.outlier.isIn) this.eject(endpoint, cause, detail);
    }
    for (const { outlier } of this.host.endpoints) {
      outlier.good = 0;
      outlier.bad = 0;
    }
  }
}

function words({ reason, status }: AttemptReport): string {
  return reason ?? `status ${status ?? "unknown"}`;
}
