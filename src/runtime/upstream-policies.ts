import type { UpstreamConfig } from "../config/types.ts";
import { statusOf } from "../http/status-words.ts";
import { IdempotentMethods } from "../proxy/idempotent-methods.ts";
import { RetryBudget } from "../proxy/retry-budget.ts";
import { newRetryCounts, type RetryCounts, RetryPolicy } from "../proxy/retry-policy.ts";

/** What the policies of an upstream have counted and found out: kept over reloads for as long as it is declared. */
export interface PolicyState {
  readonly upstream: string;
  readonly retries: { readonly budget: RetryBudget; readonly counts: RetryCounts };
  /** As configured now. */
  retry: RetryPolicy | undefined;
}

/** The policies of every declared upstream, made of the configuration and of what is kept of the one before. */
export class UpstreamPolicies {
  private readonly states = new Map<string, PolicyState>();
  private readonly random: () => number;

  constructor(random: () => number) {
    this.random = random;
  }

  /** Goes over to another configuration of an upstream. */
  apply(upstream: string, config: UpstreamConfig): PolicyState {
    const state = this.states.get(upstream) ?? newState(upstream);
    this.states.set(upstream, state);
    state.retry = this.makeRetry(config.retry, state);
    return state;
  }

  /** The upstream is no longer declared. */
  free(upstream: string): void {
    this.states.delete(upstream);
  }

  of(upstream: string): PolicyState | undefined {
    return this.states.get(upstream);
  }

  all(): IterableIterator<PolicyState> {
    return this.states.values();
  }

  private makeRetry(config: UpstreamConfig["retry"], state: PolicyState): RetryPolicy | undefined {
    if (config === undefined) return undefined;
    const options = { ...config, statuses: new Set(config.statuses.map(statusOf)) };
    return new RetryPolicy(options, new IdempotentMethods(config.idempotentMethods), state.retries, this.random);
  }
}

function newState(upstream: string): PolicyState {
  return { upstream, retries: { budget: new RetryBudget(), counts: newRetryCounts() }, retry: undefined };
}
