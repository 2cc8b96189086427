/** Samples that are kept of a window; of more, each has the same chance to be among them. */
const SAMPLES = 128;
/** The share of the slowest that is left out: one call that waits for something else says nothing of the load. */
const SLOWEST = 0.25;

/** What is seen of the calls within a stretch of time. */
export class LatencyWindow {
  private readonly samples = new Float64Array(SAMPLES);
  private readonly random: () => number;
  /** Milliseconds of the clock. */
  began = 0;
  count = 0;
  /** Calls that came to their deadline. */
  late = 0;
  /** The most calls under way at once. */
  busiest = 0;

  constructor(random: () => number) {
    this.random = random;
  }

  begin(now: number): void {
    this.began = now;
    this.count = 0;
    this.late = 0;
    this.busiest = 0;
  }

  add(latency: number): void {
    const place = this.count < SAMPLES ? this.count : Math.floor(this.random() * (this.count + 1));
    if (place < SAMPLES) this.samples[place] = latency;
    this.count++;
  }

  /** The mean of the fastest three quarters, in milliseconds. */
  latency(): number {
    const sorted = this.samples.slice(0, Math.min(this.count, SAMPLES)).sort();
    const taken = sorted.subarray(0, Math.max(1, Math.ceil(sorted.length * (1 - SLOWEST))));
    return taken.reduce((sum, sample) => sum + sample, 0) / taken.length;
  }
}
