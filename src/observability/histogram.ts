/** How numbers are spread: counts by bucket, and their sum. */
export class Histogram {
  private readonly bounds: readonly number[];
  /** Counts first, that of what is above all bounds the last of them, then the sum. */
  private readonly counts: Float64Array;

  /** `bounds`: upper ones, ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 2);
  }

  add(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    const sum = bounds.length + 1;
    counts[sum] = (counts[sum] ?? 0) + value;
  }

  /** Its lines in Prometheus' text format; nothing where nothing was added. `series`: the labels without braces, at least one. */
  render(name: string, series: string): string {
    let text = "";
    let count = 0;
    for (let bucket = 0; bucket <= this.bounds.length; bucket++) {
      count += this.counts[bucket] ?? 0;
      text += `${name}_bucket{${series},le="${this.bounds[bucket] ?? "+Inf"}"} ${count}\n`;
    }
    if (count === 0) return "";
    return `${text}${name}_sum{${series}} ${this.counts[this.bounds.length + 1] ?? 0}\n${name}_count{${series}} ${count}\n`;
  }
}
