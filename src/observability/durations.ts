/** Upper bounds in milliseconds: a local call takes half a millisecond, a slow report a minute. */
const bounds: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/** The same as Prometheus reads them: seconds, and the last one without a bound. */
const labels: readonly string[] = [...bounds.map((bound) => String(bound / 1000)), "+Inf"];

const SUM = labels.length;

/** A call that is in a bucket, by its trace. */
export interface Exemplar {
  readonly traceId: string;
  readonly ms: number;
  /** Milliseconds of the clock. */
  readonly at: number;
}

/** From milliseconds of the clock to those since the Unix epoch. */
export type Wall = (at: number) => number;

function exemplarText(exemplar: Exemplar | undefined, wall: Wall | undefined): string {
  if (exemplar === undefined || wall === undefined) return "";
  return ` # {trace_id="${exemplar.traceId}"} ${exemplar.ms / 1000} ${(wall(exemplar.at) / 1000).toFixed(3)}`;
}

/** How long calls took: a histogram in one typed array, counts first, then the sum in milliseconds. */
export class Durations {
  private readonly counts = new Float64Array(labels.length + 1);
  /** By bucket, the last traced call that fell into it; made when there is the first one. */
  private exemplars: (Exemplar | undefined)[] | undefined = undefined;

  /** `exemplar`: a call by which the bucket can be understood. */
  add(ms: number, exemplar?: Exemplar): void {
    let bucket = 0;
    while (bucket < bounds.length && ms > (bounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.counts[SUM] = (this.counts[SUM] ?? 0) + ms;
    if (exemplar === undefined) return;
    this.exemplars ??= [];
    this.exemplars[bucket] = exemplar;
  }

  get isEmpty(): boolean {
    return this.counts.every((count) => count === 0);
  }

  /** Adds what another has; of exemplars the later one stays. */
  include(other: Durations): void {
    for (const [at, count] of other.counts.entries()) this.counts[at] = (this.counts[at] ?? 0) + count;
    for (const [bucket, exemplar] of (other.exemplars ?? []).entries()) {
      if (exemplar === undefined) continue;
      this.exemplars ??= [];
      const known = this.exemplars[bucket];
      if (known === undefined || known.at < exemplar.at) this.exemplars[bucket] = exemplar;
    }
  }

  /**
   * The lines of this histogram. `series` is the labels without braces, at least one. `wall`, from milliseconds of the clock to those
   * since the Unix epoch: with exemplars, which only OpenMetrics has.
   */
  render(name: string, series: string, wall?: Wall): string {
    let text = "";
    let count = 0;
    for (let bucket = 0; bucket < labels.length; bucket++) {
      count += this.counts[bucket] ?? 0;
      text += `${name}_bucket{${series},le="${labels[bucket]}"} ${count}${exemplarText(this.exemplars?.[bucket], wall)}\n`;
    }
    return `${text}${name}_sum{${series}} ${(this.counts[SUM] ?? 0) / 1000}\n${name}_count{${series}} ${count}\n`;
  }
}
