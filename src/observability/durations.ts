/** Upper bounds in milliseconds: a local call takes half a millisecond, a slow report a minute. */
const bounds: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/** The same as Prometheus reads them: seconds, and the last one without a bound. */
const labels: readonly string[] = [...bounds.map((bound) => String(bound / 1000)), "+Inf"];

const SUM = labels.length;

/** How long calls took: a histogram in one typed array, counts first, then the sum in milliseconds. */
export class Durations {
  private readonly counts = new Float64Array(labels.length + 1);

  add(ms: number): void {
    let bucket = 0;
    while (bucket < bounds.length && ms > (bounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.counts[SUM] = (this.counts[SUM] ?? 0) + ms;
  }

  /** The lines of this histogram. `series` is the labels without braces, at least one. */
  render(name: string, series: string): string {
    let text = "";
    let count = 0;
    for (let bucket = 0; bucket < labels.length; bucket++) {
      count += this.counts[bucket] ?? 0;
      text += `${name}_bucket{${series},le="${labels[bucket]}"} ${count}\n`;
    }
    return `${text}${name}_sum{${series}} ${(this.counts[SUM] ?? 0) / 1000}\n${name}_count{${series}} ${count}\n`;
  }
}
