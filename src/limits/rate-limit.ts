import type { Clock } from "../core/clock.ts";
import type { Call, Failure } from "../http/call.ts";
import { type CallMatch, compileMatch } from "../http/call-match.ts";
import type { Direction } from "../http/reason.ts";
import { type Algorithm, algorithms } from "./algorithms.ts";
import type { Allowance } from "./allowance.ts";
import { compileKey, type KeyPart } from "./call-key.ts";
import { KeyTable } from "./key-table.ts";
import { Lease, type OnStoreFailure } from "./lease.ts";
import type { Grant, LeaseStore, LeaseTerms } from "./lease-store.ts";
import { type Pace, type Paced, shareOf } from "./pace.ts";
import type { BucketRules } from "./quota/bucket.ts";
import { isTold, overLimit, rateLimitFields, type ToldTo } from "./refusal.ts";

/** An entry of `rateLimits`. */
export interface RateLimitOptions {
  readonly name: string;
  readonly direction: Direction;
  readonly match: CallMatch;
  readonly key: readonly KeyPart[];
  readonly mode: "enforce" | "shadow";
  /** What a refusal tells beside when to come again. */
  readonly headers: ToldTo;
  readonly counted: Counted;
}

/** Who counts: this process, several by a store, or a rate limit service; or who says how much this process may count. */
export type Counted =
  | {
      readonly by: "memory" | "redis";
      readonly pace: Pace;
      readonly algorithm: Algorithm;
      readonly maxKeys: number;
      /** Of Redis only. */
      readonly shared: SharedOptions | undefined;
    }
  | { readonly by: "service"; readonly service: ServiceOptions }
  | { readonly by: "quota"; readonly quota: QuotaOptions; readonly maxKeys: number };

/** Where quotas are assigned, and what is done without. */
export interface QuotaOptions extends BucketRules {
  /** HOST:PORT or unix:/path. */
  readonly address: string;
  readonly domain: string;
}

/** A limit that several sidecars count together, in Redis. `timeout` in milliseconds. */
export interface SharedOptions {
  readonly url: string;
  readonly timeout: number;
  /** Who shares the limit: part of its name in the store. */
  readonly scope: string;
  /** Calls that are leased at once; undefined: a twentieth of the capacity, 5 at least. */
  readonly lease: number | undefined;
  readonly localShare: number;
  readonly onFailure: OnStoreFailure;
}

/** A limit that a service decides. `timeout` in milliseconds. */
export interface ServiceOptions {
  /** HOST:PORT or unix:/path. */
  readonly address: string;
  readonly domain: string;
  readonly timeout: number;
  readonly onFailure: "allow" | "deny";
}

/** Limits that are counted here, whoever else counts. */
export type CountedLocally = Extract<Counted, { by: "memory" | "redis" }>;
/** A limit that is counted here, alone or with leases. */
export type LocalOptions = RateLimitOptions & { readonly counted: CountedLocally };

/** By default a lease is this part of the capacity, and of a small one so many calls. */
const LEASE_SHARE = 20;
const SMALL_LEASE = 5;

/**
 * A limit that is decided in this process, at once: from its own counts, or from leases of a store.
 *
 * Invariant: `refused` counts the calls that it refused, or would have in shadow mode.
 */
export class RateLimit implements Paced {
  readonly table: KeyTable;
  readonly store: LeaseStore | undefined;
  refused = 0;
  private current: LocalOptions;
  /** What the limit is called in a store, and how it counts. */
  terms: LeaseTerms;
  /** The limit's name where a store counts, in the records of calls that passed. */
  private readonly leased: string;
  private matches: (call: Call) => boolean;
  private readonly keyOf: (call: Call) => string;

  constructor(options: LocalOptions, clock: Clock, store: LeaseStore | undefined) {
    this.current = options;
    this.store = store;
    this.terms = termsOf(options);
    this.leased = `${options.name}, counted by a store: calls in hand`;
    this.matches = compileMatch(options.match);
    this.keyOf = compileKey(options.key);
    const make = algorithms[options.counted.algorithm];
    const localPace = (): Pace => this.localPace;
    const local: Paced = {
      get pace() {
        return localPace();
      },
    };
    const lease = {
      clock,
      terms: () => this.terms,
      batch: () => this.batch,
      onFailure: () => this.current.counted.shared?.onFailure ?? "local",
    };
    this.table = new KeyTable(options.counted.maxKeys, (key) =>
      store === undefined ? make(this, clock) : new Lease(key, { ...lease, store, local: make(local, clock) }),
    );
  }

  get options(): LocalOptions {
    return this.current;
  }

  get pace(): Pace {
    return this.current.counted.pace;
  }

  /** Milliseconds without a call after which no key has less than a new one. */
  get recovery(): number {
    const { algorithm, pace } = this.current.counted;
    return algorithm === "tokenBucket" ? (pace.burst * pace.per) / pace.amount : 2 * pace.per;
  }

  /** Calls in hand of all keys. */
  get held(): number {
    let held = 0;
    for (const allowance of this.table.values()) if (allowance instanceof Lease) held += allowance.held;
    return held;
  }

  /** Takes other values for what may change under the counts that there are. */
  change(options: LocalOptions): void {
    this.current = options;
    this.terms = termsOf(options);
    this.matches = compileMatch(options.match);
    this.table.max = options.counted.maxKeys;
  }

  /** The allowance that a call is charged to; undefined where the limit is not for it. */
  of(call: Call, now: number): Allowance | undefined {
    return this.matches(call) ? this.table.of(this.keyOf(call), now) : undefined;
  }

  /** Gives calls of a key to another thread of this process, from the store or from the counts here. */
  lease(key: string, calls: number, now: number, done: (grant: Grant | undefined) => void): void {
    if (this.store !== undefined) {
      this.store.lease(this.terms, key, calls, done);
      return;
    }
    const allowance = this.table.of(key, now);
    let granted = 0;
    for (; granted < calls && allowance.ready(now); granted++) allowance.take(now);
    done({ granted, wait: granted < calls ? allowance.wait(now) : allowance.good(now) });
  }

  /** A call passes: recorded with what it leaves. */
  notePassed(call: Call, allowance: Allowance, now: number): void {
    const used = allowance.used(now);
    const { name, counted } = this.current;
    if (used === undefined) call.note("limit", this.leased, allowance instanceof Lease ? allowance.held : 0);
    else call.note("limit", name, used + 1, capacityOf(counted));
  }

  /** What is said to a call for which `allowance` has no room; undefined where it passes all the same. */
  refuse(call: Call, allowance: Allowance, now: number): Failure | undefined {
    this.refused++;
    const { name, mode, headers, counted } = this.current;
    const capacity = capacityOf(counted);
    call.note("limit", name, capacity + 1, capacity);
    if (mode === "shadow") return undefined;
    const wait = allowance.wait(now);
    const silent = this.store !== undefined && !this.store.up && counted.shared?.onFailure === "deny";
    return overLimit({
      reason: "RATE_LIMIT",
      detail: silent
        ? `the store of the rate limit ${name} does not answer`
        : `the rate limit ${name} of ${describePace(counted)} is used up; again in ${Math.ceil(wait)}ms`,
      wait,
      elsewhere: counted.by === "memory",
      fields: isTold(headers, call) ? rateLimitFields(capacity, 0, wait) : [],
    });
  }

  private get batch(): number {
    const { counted } = this.current;
    const capacity = capacityOf(counted);
    return counted.shared?.lease ?? Math.max(Math.min(SMALL_LEASE, capacity), Math.floor(capacity / LEASE_SHARE));
  }

  private get localPace(): Pace {
    const { counted } = this.current;
    return shareOf(counted.pace, counted.shared?.localShare ?? 1);
  }
}

/** The most calls that can pass at once. */
function capacityOf({ algorithm, pace }: CountedLocally): number {
  return algorithm === "tokenBucket" ? pace.burst : pace.amount;
}

const periods: ReadonlyMap<number, string> = new Map([
  [1000, "s"],
  [60_000, "m"],
  [3_600_000, "h"],
  [86_400_000, "d"],
]);

/** As the configuration has it. */
export function describePace({ algorithm, pace: { amount, per, burst } }: CountedLocally): string {
  const rate = `${amount}/${periods.get(per) ?? `${per}ms`}`;
  return algorithm === "tokenBucket" ? `${rate}, ${burst} at once` : rate;
}

/** One object a setting, so that a store can keep what it makes of it. */
function termsOf({ name, direction, counted }: LocalOptions): LeaseTerms {
  const { algorithm, pace, shared } = counted;
  return { name: `${shared?.scope ?? direction}:${name}`, algorithm, pace };
}
