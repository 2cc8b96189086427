import type { Clock } from "../core/clock.ts";
import type { UpstreamNews } from "../runtime/runtime.ts";

/**
 * What workers have found out of upstreams and is still so: for one that begins later.
 *
 * Invariant: of an endpoint, and of a breaker, there is one piece of news at most, the last; none that is past.
 */
export class NewsBoard {
  private readonly clock: Pick<Clock, "wall">;
  private readonly standing = new Map<string, { readonly news: UpstreamNews; readonly until: number }>();

  constructor(clock: Pick<Clock, "wall">) {
    this.clock = clock;
  }

  /** A worker has told something. */
  take(news: UpstreamNews): void {
    const { upstream, of } = news;
    this.sweep();
    switch (of.kind) {
      case "ejected":
        this.standing.set(keyOf(upstream, "endpoint", of.endpoint), { news, until: of.until });
        return;
      case "letIn":
        this.standing.delete(keyOf(upstream, "endpoint", of.endpoint));
        return;
      case "breakerOpened":
        this.standing.set(keyOf(upstream, "breaker", of.method), { news, until: of.until });
        return;
      case "checked":
      // The control thread checks, and knows.
    }
  }

  /** What a worker that begins now has to know. */
  *current(): IterableIterator<UpstreamNews> {
    this.sweep();
    for (const { news } of this.standing.values()) yield news;
  }

  private sweep(): void {
    const now = this.clock.wall();
    for (const [key, { until }] of this.standing) if (until <= now) this.standing.delete(key);
  }
}

function keyOf(upstream: string, kind: string, name: string): string {
  return `${upstream} ${kind} ${name}`;
}
