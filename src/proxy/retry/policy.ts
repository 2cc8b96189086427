import type { Call } from "../../http/call.ts";
import type { RetryBudget } from "./budget.ts";
import type { Idempotence, IdempotentMethods } from "./idempotent-methods.ts";

/** `retry` of an upstream. */
export interface RetryOptions {
  /** The first one included. */
  readonly attempts: number;
  /** Further attempts per call, as a share. */
  readonly budget: number;
  /** gRPC statuses after which a call is made again. */
  readonly statuses: ReadonlySet<number>;
  /** Milliseconds within which an attempt has to be answered by a first message or its end. */
  readonly perTryTimeout: number | undefined;
  /** Milliseconds without an answer after which another attempt is made beside the first; undefined: none. */
  readonly hedgeAfter: number | undefined;
  /** Milliseconds before the first further attempt and at most, each time with jitter. */
  readonly backoff: { readonly base: number; readonly max: number };
}

/** Why a call was not made again though its status asks for it. */
export type NotRetried = "attempts" | "budget" | "pushback" | "buffer" | "deadline";

/** What retries of an upstream have done so far; kept over reloads. */
export interface RetryCounts {
  retries: number;
  hedges: number;
  readonly refused: Record<NotRetried, number>;
}

/** Counts of an upstream that has had no call yet. */
export function newRetryCounts(): RetryCounts {
  return { retries: 0, hedges: 0, refused: { attempts: 0, budget: 0, pushback: 0, buffer: 0, deadline: 0 } };
}

/** When and how calls of an upstream are made again. */
export class RetryPolicy {
  readonly options: RetryOptions;
  readonly methods: IdempotentMethods;
  readonly budget: RetryBudget;
  readonly counts: RetryCounts;
  private readonly random: () => number;

  constructor(
    options: RetryOptions,
    methods: IdempotentMethods,
    shared: { readonly budget: RetryBudget; readonly counts: RetryCounts },
    random: () => number,
  ) {
    this.options = options;
    this.methods = methods;
    this.budget = shared.budget;
    this.counts = shared.counts;
    this.random = random;
  }

  /** Why it does no harm to make this call again; undefined where that is not known. */
  idempotence(call: Call): Idempotence | undefined {
    return call.grpc ? this.methods.of(call.path) : undefined;
  }

  /** Milliseconds before the further attempt number `retry`, 1 being the first. gRFC A6: up to the exponential bound, at random. */
  pause(retry: number): number {
    const { base, max } = this.options.backoff;
    return this.random() * Math.min(max, base * 2 ** (retry - 1));
  }
}
