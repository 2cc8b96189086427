import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Cluster } from "../../cluster/cluster.ts";
import type { Pool } from "../../cluster/pool/pool.ts";
import type { AdmissionConfig, BreakerConfig, LimitsConfig, RetryConfig, UpstreamConfig } from "../../config/types.ts";
import type { Clock } from "../../core/clock.ts";
import type { Deadlines } from "../../core/deadlines.ts";
import { AdmissionControl } from "../../filters/admission-control.ts";
import { CallLimit } from "../../filters/call-limit.ts";
import { statusOf } from "../../http/status-words.ts";
import type { Http2Services } from "../../http2/connection.ts";
import { Breakers, type BreakersOptions } from "../../proxy/breakers.ts";
import type { BreakerListener } from "../../proxy/circuit-breaker.ts";
import { RetryBudget } from "../../proxy/retry/budget.ts";
import { DescriptorFile } from "../../proxy/retry/descriptor-file.ts";
import { IdempotentMethods, type MethodKnowledge } from "../../proxy/retry/idempotent-methods.ts";
import { newRetryCounts, type RetryCounts, RetryPolicy } from "../../proxy/retry/policy.ts";
import { ReflectedMethods } from "../../proxy/retry/reflected-methods.ts";

/** What policies take from their surroundings. */
export interface PolicyServices {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly http2: Http2Services;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Tells other threads that a breaker has opened here, for `openFor` milliseconds. `method`: as `Breakers` calls it. */
  readonly opened?: ((upstream: string, method: string, why: string, openFor: number) => void) | undefined;
}

/**
 * What the policies of an upstream have counted and found out: kept over reloads for as long as it is declared. A breaker is a new
 * one only where its own settings change; limits change under the calls that they hold.
 */
export interface PolicyState {
  readonly upstream: string;
  cluster: Cluster;
  readonly retries: { readonly budget: RetryBudget; readonly counts: RetryCounts };
  config: Pick<UpstreamConfig, "retry" | "circuitBreaker" | "admissionControl" | "limits">;
  retry: RetryPolicy | undefined;
  breakers: Breakers | undefined;
  calls: CallLimit | undefined;
  admission: AdmissionControl | undefined;
  /** What its methods say of themselves by reflection, once that is asked for. */
  reflected: ReflectedMethods | undefined;
}

/** The policies of every declared upstream, made of the configuration and of what is kept of the one before. */
export class UpstreamPolicies {
  private readonly states = new Map<string, PolicyState>();
  private readonly services: PolicyServices;
  /** By path: one that several name is read once. */
  private readonly descriptors = new Map<string, DescriptorFile>();
  /** What opens now does so on the word of another thread. */
  private hearing = false;

  constructor(services: PolicyServices) {
    this.services = services;
  }

  /** Goes over to another configuration of an upstream. */
  apply(upstream: string, config: UpstreamConfig, cluster: Cluster): PolicyState {
    const state = this.states.get(upstream) ?? newState(upstream, config, cluster);
    this.states.set(upstream, state);
    const before = state.config;
    state.config = config;
    // Another cluster is one of another protocol, and of other servers.
    if (state.cluster !== cluster) state.reflected = undefined;
    state.cluster = cluster;
    state.retry = this.makeRetry(config.retry, state);
    state.calls = this.limit(config.limits, state.calls);
    state.admission = this.admit(config.admissionControl, state.admission);
    this.applyBreaker(state, before.circuitBreaker, config.circuitBreaker);
    return state;
  }

  /** A breaker has opened in another thread: what it has seen fail will fail here, too. */
  hearOpened(upstream: string, method: string, why: string): void {
    const breaker = this.states.get(upstream)?.breakers?.for(method);
    if (breaker?.state !== "closed") return;
    this.hearing = true;
    breaker.open(why);
    this.hearing = false;
  }

  /** The upstream is no longer declared. */
  free(upstream: string): void {
    this.states.get(upstream)?.breakers?.close();
    this.states.delete(upstream);
  }

  /** No other files of descriptors are in use. */
  keepDescriptors(paths: ReadonlySet<string | undefined>): void {
    for (const [path, file] of this.descriptors) {
      if (paths.has(path)) continue;
      file.close();
      this.descriptors.delete(path);
    }
  }

  close(): void {
    for (const upstream of [...this.states.keys()]) this.free(upstream);
    this.keepDescriptors(new Set());
  }

  of(upstream: string): PolicyState | undefined {
    return this.states.get(upstream);
  }

  all(): IterableIterator<PolicyState> {
    return this.states.values();
  }

  /** A retry policy with the budget and the counts of its upstream. */
  makeRetry(config: RetryConfig | undefined, state: PolicyState): RetryPolicy | undefined {
    if (config === undefined) return undefined;
    const options = { ...config, statuses: new Set(config.statuses.map(statusOf)) };
    return new RetryPolicy(
      options,
      new IdempotentMethods(config.idempotentMethods, this.knowledge(config.descriptors, state)),
      state.retries,
      this.services.random,
    );
  }

  /** What methods say of themselves. */
  private knowledge(descriptors: string | undefined, state: PolicyState): MethodKnowledge | undefined {
    if (descriptors === undefined) return undefined;
    const { log, http2, clock } = this.services;
    if (descriptors !== "reflection") {
      const file = this.descriptors.get(descriptors) ?? new DescriptorFile(descriptors, log, clock);
      this.descriptors.set(descriptors, file);
      return file;
    }
    state.reflected ??= new ReflectedMethods(() => reachable(state.cluster), {
      http2,
      log: log.child({ upstream: state.upstream }),
    });
    return state.reflected;
  }

  private limit(config: LimitsConfig | undefined, known: CallLimit | undefined): CallLimit | undefined {
    const { maxConcurrent, maxQueue, maxQueueTime } = config ?? {};
    const options =
      maxConcurrent === undefined
        ? undefined
        : { maxConcurrent, maxQueue: maxQueue ?? 0, maxQueueTime: maxQueueTime ?? 0 };
    if (known === undefined) return options && new CallLimit(options, this.services.deadlines, this.services.clock);
    // Calls that wait hold on to the old limit: it lets them in as it goes.
    known.options = options ?? { maxConcurrent: Number.POSITIVE_INFINITY, maxQueue: 0, maxQueueTime: 0 };
    known.fill();
    return options && known;
  }

  private admit(
    config: AdmissionConfig | undefined,
    known: AdmissionControl | undefined,
  ): AdmissionControl | undefined {
    if (config === undefined) return undefined;
    const options = { ...config, statuses: new Set(config.statuses.map(statusOf)) };
    if (known === undefined) return new AdmissionControl(options, this.services.http2.loop, this.services.random);
    known.change(options);
    return known;
  }

  private applyBreaker(state: PolicyState, before: BreakerConfig | undefined, config: BreakerConfig | undefined): void {
    const { breakers, upstream } = state;
    const options = config && breakersOptions(config);
    if (breakers !== undefined && isDeepStrictEqual(ownOf(before), ownOf(config))) {
      if (options !== undefined) breakers.options = options;
      return;
    }
    breakers?.close();
    const listener = (method: string) => this.listener(upstream, method, options?.openFor ?? 0);
    state.breakers = options && new Breakers(options, this.services.clock, listener, upstream);
  }

  private listener(upstream: string, method: string, openFor: number): BreakerListener {
    return (state, why) => {
      const log = this.services.log.child({ upstream, ...(method === "" ? {} : { method }) });
      if (state === "open") {
        log.warn({ why }, "the circuit breaker is open");
        if (!this.hearing) this.services.opened?.(upstream, method, why, openFor);
      } else if (state === "closed") log.info("the circuit breaker is closed again");
      else log.info("the circuit breaker lets one call try");
    };
  }
}

function breakersOptions(config: BreakerConfig): BreakersOptions {
  const { slowCall, slowRate, fallback } = config;
  return {
    ...config,
    statuses: new Set(config.statuses.map(statusOf)),
    slow: slowCall === undefined || slowRate === undefined ? undefined : { call: slowCall, rate: slowRate },
    status: fallback?.status === undefined ? undefined : statusOf(fallback.status),
  };
}

/** What a breaker's state comes of; who stands in while it is open, and which statuses count from now on, is nothing of that. */
function ownOf(config: BreakerConfig | undefined): object | undefined {
  return config && { ...config, fallback: undefined, statuses: undefined };
}

/** The connections of an instance that is up. */
function reachable(cluster: Cluster): Pool | undefined {
  for (const { state, pool } of cluster.endpoints) if (state.kind === "up") return pool;
  return undefined;
}

function newState(upstream: string, config: UpstreamConfig, cluster: Cluster): PolicyState {
  const retries = { budget: new RetryBudget(), counts: newRetryCounts() };
  return {
    upstream,
    cluster,
    retries,
    config,
    retry: undefined,
    breakers: undefined,
    calls: undefined,
    admission: undefined,
    reflected: undefined,
  };
}
