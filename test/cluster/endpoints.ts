import { pino } from "pino";
import type { AttemptReport } from "../../src/cluster/attempt-report.ts";
import type { PickContext, PickerTools } from "../../src/cluster/balancer.ts";
import { Endpoint } from "../../src/cluster/endpoint.ts";
import type { Connect } from "../../src/cluster/pool/connect.ts";
import type { PoolServices } from "../../src/cluster/pool/connection-pool.ts";
import { defaultKeepalive } from "../../src/cluster/pool/keepalive.ts";
import { defaultPoolOptions } from "../../src/cluster/pool/pool-options.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { makeCall } from "../filters/make-call.ts";
import { FakeClock } from "../support/clock.ts";
import { seededRandom } from "../support/random.ts";

/** A spec of an instance on a port of 127.0.0.1, with its port as its id. */
export function spec(port: number, more: Partial<EndpointSpec> = {}): EndpointSpec {
  const address = { kind: "tcp", host: "127.0.0.1", port } as const;
  return { id: String(port), address, weight: 1, zone: undefined, meta: {}, ...more };
}

/** What a pool takes from its surroundings, silent, with a seed. */
export function poolServices(connect: Connect, clock: Clock = new FakeClock()): PoolServices {
  const log = pino({ enabled: false });
  const headers = new HeaderTable();
  return {
    clock,
    loop: new FlushLoop(clock),
    headers,
    log,
    random: seededRandom(1),
    connect,
    keepalive: defaultKeepalive,
  };
}

/** Endpoints that are never dialled, with these weights, for what looks at their load only. */
export function idleEndpoints(...weights: number[]): Endpoint[] {
  const services = poolServices(() => {
    throw new Error("nobody dials here");
  });
  const host = { connected() {}, reachabilityChanged() {}, checkChanged() {}, reported() {}, left() {} };
  const options = { pool: defaultPoolOptions, probeCap: 10_000 };
  return weights.map((weight, at) => new Endpoint(spec(at + 1, { weight }), services, options, host));
}

/** A call that has tried nothing and says nothing of itself. */
export const ANY: PickContext = { call: makeCall(), tried: undefined };

/** The same call, after some tries. */
export function after(...tried: readonly Endpoint[]): PickContext {
  return { ...ANY, tried: tried.length === 0 ? undefined : tried };
}

/** A report on an attempt that took no time. */
export function report(outcome: AttemptReport["outcome"], more: Partial<AttemptReport> = {}): AttemptReport {
  const nothing = {
    status: undefined,
    reason: undefined,
    answeredAt: undefined,
    trailers: undefined,
    overLimit: undefined,
  };
  return { ...nothing, startedAt: 0, endedAt: 0, outcome, ...more };
}

/** What a picker takes from its surroundings: this chance, a time that stands, and calls that have nothing in common. */
export function tools(random: () => number, more: Partial<PickerTools> = {}): PickerTools {
  return {
    random,
    now: () => 0,
    hash: () => undefined,
    choices: 2,
    maxLoad: undefined,
    shuffled: false,
    race: () => {},
    ...more,
  };
}
