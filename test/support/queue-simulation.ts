import type { BalancerDefinition } from "../../src/cluster/balancer.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { defaultLoadSettings } from "../../src/cluster/load-weight.ts";
import { ANY, idleEndpoints, report, tools } from "../cluster/endpoints.ts";
import { seededRandom } from "./random.ts";

/** A service under load, in simulated time: milliseconds. */
export interface Load {
  /** How long each replica needs for a call, in the mean; exponentially distributed. */
  readonly needs: readonly number[];
  /** Calls that a replica works on at once; more wait in its queue. */
  readonly workers: number;
  /** Calls a second, that come by chance. */
  readonly rate: number;
  readonly calls: number;
  /** Sidecars that choose, each for itself. */
  readonly sidecars: number;
  readonly seed: number;
}

export interface Outcome {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  /** The share of calls that went to each replica. */
  readonly shares: readonly number[];
}

interface Running {
  readonly end: number;
  readonly begun: number;
  readonly endpoint: Endpoint;
}

/**
 * Simulates it with the pickers as they are. Every sidecar sees its own calls only, as in a mesh; replicas serve in the order in
 * which calls come. What goes on in the first tenth is not counted.
 */
export function simulate(balancer: BalancerDefinition, load: Load): Outcome {
  const random = seededRandom(load.seed);
  let now = 0;
  const sidecars = Array.from({ length: load.sidecars }, () => {
    const endpoints = idleEndpoints(...load.needs.map(() => 1));
    for (const endpoint of endpoints) endpoint.keep(balancer.needs, () => defaultLoadSettings);
    return balancer.picker(endpoints, tools(random, { now: () => now }), undefined);
  });
  /** When each worker of each replica is free. */
  const free = load.needs.map(() => new Float64Array(load.workers));
  const running = new Heap();
  const times: number[] = [];
  const counts = load.needs.map(() => 0);
  const endUntil = (time: number): void => {
    for (let first = running.first; first !== undefined && first.end <= time; first = running.first) {
      running.shift();
      now = first.end;
      first.endpoint.done(
        report("ok", { status: 0, startedAt: first.begun, answeredAt: first.end, endedAt: first.end }),
      );
    }
  };
  let at = 0;
  for (let call = 0; call < load.calls; call++) {
    at -= (Math.log(1 - random()) * 1000) / load.rate;
    endUntil(at);
    now = at;
    const endpoint = sidecars[Math.floor(random() * sidecars.length)]?.pick(ANY);
    if (endpoint === undefined) throw new Error("nobody was picked");
    endpoint.started();
    const replica = Number(endpoint.id) - 1;
    const workers = free[replica] ?? new Float64Array(1);
    const worker = workers.indexOf(Math.min(...workers));
    const start = Math.max(at, workers[worker] ?? 0);
    const end = start - Math.log(1 - random()) * (load.needs[replica] ?? 1);
    workers[worker] = end;
    running.push({ end, begun: at, endpoint });
    if (call >= load.calls / 10) {
      times.push(end - at);
      counts[replica] = (counts[replica] ?? 0) + 1;
    }
  }
  times.sort((a, b) => a - b);
  const rank = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return {
    mean: times.reduce((sum, time) => sum + time, 0) / times.length,
    p50: rank(0.5),
    p99: rank(0.99),
    shares: counts.map((count) => count / times.length),
  };
}

/** Calls under way, the next one to end first: a binary heap. */
class Heap {
  private readonly items: Running[] = [];

  get first(): Running | undefined {
    return this.items[0];
  }

  push(item: Running): void {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((items[parent]?.end ?? 0) <= item.end) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  shift(): void {
    const { items } = this;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    items[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const endOf = (index: number): number => items[index]?.end ?? Number.POSITIVE_INFINITY;
      const least = endOf(left + 1) < endOf(left) ? left + 1 : left;
      if (endOf(least) >= last.end) return;
      this.swap(at, least);
      at = least;
    }
  }

  private swap(one: number, other: number): void {
    const { items } = this;
    const [a, b] = [items[one], items[other]];
    if (a === undefined || b === undefined) return;
    items[one] = b;
    items[other] = a;
  }
}
