import type { Clock } from "../../core/clock.ts";
import type { AdmissionState } from "../../filters/admission-control.ts";
import type { PolicyState, UpstreamPolicies } from "./policies.ts";

/** The state of an upstream's policies, as `/clusters` has it. */
export interface PolicyAnswer {
  readonly upstream: string;
  /** null: no retry policy. */
  readonly retry: {
    readonly retries: number;
    readonly hedges: number;
    /** Of the last 10 seconds. */
    readonly budget: { readonly used: number; readonly allowed: number };
    readonly refused: Readonly<Record<string, number>>;
  } | null;
  readonly circuitBreakers: readonly {
    /** `package.Service/Method`; "" where one is for all. */
    readonly method: string;
    readonly state: string;
    readonly window: { readonly calls: number; readonly failures: number; readonly slow: number };
    readonly opened: number;
    readonly refused: number;
    /** Why it is not closed, in words; null while it is. */
    readonly why: string | null;
  }[];
  /** null: no admission control. */
  readonly admissionControl: AdmissionState | null;
  readonly limits: readonly { readonly name: string; readonly limit: number; readonly current: number | null }[];
}

/** Every declared upstream that has a policy. */
export function* describePolicies(policies: UpstreamPolicies, clock: Clock): IterableIterator<PolicyAnswer> {
  for (const state of policies.all()) {
    const { upstream, retry, breakers, admission, config } = state;
    if (retry === undefined && breakers === undefined && admission === undefined && config.limits === undefined)
      continue;
    yield {
      upstream,
      retry: describeRetry(state, clock.now()),
      circuitBreakers: [...(breakers?.all() ?? [])].map(([path, breaker]) => ({
        method: path.replace(/^\//, ""),
        state: breaker.state,
        window: breaker.stats(),
        opened: breaker.opened,
        refused: breaker.refused,
        why: breaker.state === "closed" ? null : breaker.reason,
      })),
      admissionControl: admission?.state(clock.now()) ?? null,
      limits: describeLimits(state),
    };
  }
}

function describeRetry({ retry, retries }: PolicyState, now: number): PolicyAnswer["retry"] {
  if (retry === undefined) return null;
  const { counts, budget } = retries;
  const { refused } = counts;
  return {
    retries: counts.retries,
    hedges: counts.hedges,
    budget: budget.state(retry.options.budget, now),
    refused,
  };
}

function describeLimits({ config, calls }: PolicyState): PolicyAnswer["limits"] {
  const { maxConnections } = config.limits ?? {};
  const limits = maxConnections === undefined ? [] : [{ name: "maxConnections", limit: maxConnections, current: null }];
  if (calls === undefined) return limits;
  const { maxConcurrent, maxQueue } = calls.options;
  return [
    ...limits,
    { name: "maxConcurrent", limit: maxConcurrent, current: calls.current },
    { name: "maxQueue", limit: maxQueue, current: calls.waiting },
  ];
}
