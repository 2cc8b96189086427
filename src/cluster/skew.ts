import type { Endpoint } from "./endpoint.ts";

/** Milliseconds over which calls are counted. */
const WINDOW = 10_000;
/** Fewer calls than that for each endpoint say nothing. */
const ENOUGH = 10;

/**
 * How unevenly calls were spread over the last ten seconds or more: those of the endpoint that got the most for its weight, as a
 * multiple of the mean. 1 is even. Worked out when somebody reads it, not when a call is made.
 */
export class Skew {
  private value: number | undefined = undefined;
  private readAt = Number.NEGATIVE_INFINITY;
  private before = new Map<Endpoint, number>();

  /** Undefined while too few calls were made to say. */
  read(endpoints: readonly Endpoint[], now: number): number | undefined {
    if (now - this.readAt < WINDOW) return this.value;
    const parts = endpoints
      .filter((endpoint) => this.before.has(endpoint) && endpoint.usable)
      .map((endpoint) => ({ calls: endpoint.selected - (this.before.get(endpoint) ?? 0), weight: endpoint.weight }));
    this.readAt = now;
    this.before = new Map(endpoints.map((endpoint) => [endpoint, endpoint.selected]));
    const calls = parts.reduce((sum, part) => sum + part.calls, 0);
    const weights = parts.reduce((sum, { weight }) => sum + weight, 0);
    const enough = parts.length > 1 && calls >= parts.length * ENOUGH;
    this.value = enough
      ? Math.max(...parts.map(({ calls: own, weight }) => (own / weight) * (weights / calls)))
      : undefined;
    return this.value;
  }
}
