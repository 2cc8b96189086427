import type { Endpoint } from "./endpoint.ts";
import { type SlowStartSettings, warmth } from "./slow-start.ts";

/**
 * Works out the weight of each endpoint: what discovery says, times what it can take by its load reports, times how warm it is.
 * An endpoint without a report has the mean of the others (gRFC A58).
 */
export function weigh(endpoints: Iterable<Endpoint>, slowStart: SlowStartSettings | undefined, now: number): void {
  const all = [...endpoints];
  const reported = all.map(({ load }) => load?.at(now));
  const known = reported.filter((weight) => weight !== undefined);
  // With a single report there is nothing to compare it to.
  const mean = known.length < 2 ? undefined : known.reduce((sum, weight) => sum + weight, 0) / known.length;
  for (const [at, endpoint] of all.entries()) {
    const load = mean === undefined ? 1 : (reported[at] ?? mean) / mean;
    const age = now - endpoint.freshSince;
    endpoint.weight = endpoint.spec.weight * load * (slowStart === undefined ? 1 : warmth(age, slowStart));
  }
}

/** Whether an endpoint is still on its way to its whole weight. */
export function isWarming(endpoint: Endpoint, slowStart: SlowStartSettings | undefined, now: number): boolean {
  return slowStart !== undefined && now - endpoint.freshSince < slowStart.window;
}
