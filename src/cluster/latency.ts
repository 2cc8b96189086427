import type { AttemptReport } from "./attempt-report.ts";

/** Milliseconds after which an old value counts for 1/e. */
const DECAY = 10_000;

/**
 * How long an endpoint takes to begin its answers, as a moving mean that a longer time raises at once and shorter ones lower
 * slowly. Without calls it falls by itself, so that an endpoint that was slow is tried again.
 */
export class PeakLatency {
  private value: number | undefined = undefined;
  private stamp = 0;

  /** Milliseconds; undefined while nothing is known. */
  at(now: number): number | undefined {
    return this.value === undefined ? undefined : this.value * Math.exp((this.stamp - now) / DECAY);
  }

  /**
   * Takes the time to the head of an answer. An attempt that ended without one took at least as long as it was waited for. What
   * was measured long before it is reported, as with a stream, says nothing of now.
   */
  take({ outcome, startedAt, answeredAt, endedAt }: AttemptReport): void {
    const measured = (answeredAt ?? endedAt) - startedAt;
    if (answeredAt === undefined && outcome !== "ok") this.raise(measured, endedAt);
    else if (endedAt - (answeredAt ?? endedAt) < DECAY) this.observe(measured, endedAt);
  }

  private raise(ms: number, now: number): void {
    if (ms > (this.at(now) ?? 0)) this.observe(ms, now);
  }

  private observe(ms: number, now: number): void {
    const before = this.value;
    if (before === undefined || ms >= before) {
      this.value = ms;
    } else {
      const kept = Math.exp((this.stamp - now) / DECAY);
      this.value = before * kept + ms * (1 - kept);
    }
    this.stamp = now;
  }
}
