import type { Clock, Timer } from "../core/clock.ts";
import type { Endpoint } from "./endpoint.ts";
import type { ClusterPolicy } from "./policy.ts";
import { type SlowStartSettings, warmth } from "./slow-start.ts";

/** Whose endpoints are weighed: the cluster. */
export interface WeightsHost {
  readonly endpoints: Iterable<Endpoint>;
  /** Weights have changed by the time that has passed alone. */
  weightsChanged(): void;
}

/** Steps in which a new endpoint gets its weight, and the shortest of them in milliseconds. */
const STEPS = 20;
const MIN_STEP = 100;

/** Keeps the weights of a cluster's endpoints, which slow start and load reports change as time goes by. */
export class Weights {
  private readonly host: WeightsHost;
  private readonly clock: Clock;
  /** Armed while weights change by themselves. */
  private timer: Timer | undefined = undefined;

  constructor(host: WeightsHost, clock: Clock) {
    this.host = host;
    this.clock = clock;
  }

  /**
   * Works them out: what discovery says, times what an endpoint can take by its load reports, times how warm it is. An endpoint
   * without a report has the mean of the others (gRFC A58). One that has said that it has too many calls has less.
   */
  update({ slowStart, balancer, load, loadBias }: ClusterPolicy): void {
    const now = this.clock.now();
    const all = [...this.host.endpoints];
    const reported = all.map((endpoint) => endpoint.load?.at(now));
    const known = reported.filter((weight) => weight !== undefined);
    // With a single report there is nothing to compare it to.
    const mean = known.length < 2 ? undefined : known.reduce((sum, weight) => sum + weight, 0) / known.length;
    let warming = false;
    /** When the first of those that have less has more again. */
    let grows = Number.POSITIVE_INFINITY;
    for (const [at, endpoint] of all.entries()) {
      const share = mean === undefined ? 1 : (reported[at] ?? mean) / mean;
      const age = now - endpoint.freshSince;
      const bias = endpoint.bias?.at(now) ?? 1;
      endpoint.weight = endpoint.spec.weight * share * bias * (slowStart === undefined ? 1 : warmth(age, slowStart));
      if (bias < 1) grows = Math.min(grows, endpoint.bias?.heldUntil ?? now);
      warming ||= isWarming(endpoint, slowStart, now);
    }
    this.stop();
    let next = Number.POSITIVE_INFINITY;
    if (warming && slowStart !== undefined) next = Math.max(MIN_STEP, slowStart.window / STEPS);
    else if (balancer.needs === "load" && all.length > 1) next = load.update;
    if (loadBias !== undefined) next = Math.min(next, Math.max(MIN_STEP, loadBias.recovery / STEPS, grows - now));
    if (next < Number.POSITIVE_INFINITY) this.again(next);
  }

  /** Whether another can take a new one's share while that is spared: the first of a service has to take all of it. */
  hasWarm(slowStart: SlowStartSettings | undefined, besides?: Endpoint): boolean {
    const now = this.clock.now();
    for (const endpoint of this.host.endpoints)
      if (endpoint !== besides && endpoint.usable && !isWarming(endpoint, slowStart, now)) return true;
    return false;
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private again(ms: number): void {
    this.timer = this.clock.setTimer(ms, () => this.host.weightsChanged());
  }
}

/** Whether an endpoint is still on its way to its whole weight. */
export function isWarming(endpoint: Endpoint, slowStart: SlowStartSettings | undefined, now: number): boolean {
  return slowStart !== undefined && now - endpoint.freshSince < slowStart.window;
}
