import type { Clock } from "../../core/clock.ts";
import type { Call, Failure } from "../../http/call.ts";
import { compileMatch } from "../../http/call-match.ts";
import type { Allowance } from "../allowance.ts";
import { compileParts, descriptorKey, type KeyPart } from "../call-key.ts";
import { KeyTable } from "../key-table.ts";
import { Lease } from "../lease.ts";
import type { Grant, LeaseStore, LeaseTerms } from "../lease-store.ts";
import type { RateLimitOptions } from "../rate-limit.ts";
import { isTold, overLimit, rateLimitFields } from "../refusal.ts";
import type { BucketId } from "./assignment.ts";
import { type BucketRules, QuotaBucket } from "./bucket.ts";
import type { QuotaStream } from "./stream.ts";

/** A limit whose quotas a service assigns. */
export type QuotaLimitOptions = RateLimitOptions & { readonly counted: { readonly by: "quota" } };

/** Where its buckets are: those of this thread, or those that another thread keeps. */
export type BucketPlace =
  | { readonly kind: "here"; readonly stream: QuotaStream }
  | { readonly kind: "elsewhere"; readonly store: LeaseStore };

/**
 * Calls that a thread takes of the one that has the buckets at once, which is also how many pass before that one has answered: of a key
 * that had too few already, and of one that never had. So many may go over a quota, for each thread.
 */
const LEASE = 5;
const LARGE_LEASE = 100;

/**
 * A limit of which each key is a bucket of Envoy's rate limit quota service: the service hears how much is used, and assigns how much
 * may be. A call never waits for it.
 */
export class QuotaLimit {
  readonly table: KeyTable;
  readonly place: BucketPlace;
  readonly terms: LeaseTerms;
  refused = 0;
  private current: QuotaLimitOptions;
  private matches: (call: Call) => boolean;
  private readonly keyOf: (call: Call) => string;

  constructor(options: QuotaLimitOptions, clock: Clock, place: BucketPlace) {
    this.current = options;
    this.place = place;
    this.matches = compileMatch(options.match);
    this.keyOf = compileParts(options.key);
    // What is leased is good for as long as the grant says.
    const pace = { amount: 1, per: 1000, burst: 1 };
    this.terms = { name: `${options.direction}:${options.name}`, algorithm: "fixedWindow", pace };
    this.table = new KeyTable(options.counted.maxKeys, (key) => this.allowance(key, clock));
  }

  get options(): QuotaLimitOptions {
    return this.current;
  }

  get up(): boolean {
    const { place } = this;
    return place.kind === "here" ? place.stream.up : place.store.up;
  }

  get failures(): number {
    const { place } = this;
    return place.kind === "here" ? place.stream.failures : place.store.failures;
  }

  /** Buckets by whether an assignment is in force for them. */
  states(now: number): Record<"unassigned" | "assigned" | "expired", number> {
    const counts = { unassigned: 0, assigned: 0, expired: 0 };
    for (const bucket of this.table.entriesOf()) if (bucket instanceof QuotaBucket) counts[bucket.state(now)]++;
    return counts;
  }

  /** Takes other values for what may change under the buckets that there are. */
  change(options: QuotaLimitOptions): void {
    this.current = options;
    this.matches = compileMatch(options.match);
    this.table.max = options.counted.maxKeys;
  }

  /** It is configured no more. */
  release(): void {
    if (this.place.kind === "elsewhere") return;
    for (const bucket of this.table.values()) if (bucket instanceof QuotaBucket) this.place.stream.forget(bucket);
  }

  /** The allowance that a call is charged to; undefined where the limit is not for it. */
  of(call: Call, now: number): Allowance | undefined {
    return this.matches(call) ? this.table.of(this.keyOf(call), now) : undefined;
  }

  /** Gives calls of a key to another thread of this process. */
  lease(key: string, calls: number, now: number, done: (grant: Grant | undefined) => void): void {
    const allowance = this.table.of(key, now);
    let granted = 0;
    for (; granted < calls && allowance.ready(now); granted++) allowance.take(now);
    if (granted < calls && allowance instanceof QuotaBucket) allowance.refused(calls - granted, now);
    done({ granted, wait: granted < calls ? allowance.wait(now) : allowance.good(now) });
  }

  /** A call passes: recorded with what it leaves. */
  notePassed(call: Call, allowance: Allowance, now: number): void {
    const { name } = this.current;
    if (!(allowance instanceof QuotaBucket)) {
      call.note("limit", name);
      return;
    }
    const capacity = allowance.capacity(now);
    if (capacity === undefined) call.note("limit", name);
    else call.note("limit", name, (allowance.used(now) ?? 0) + 1, capacity);
  }

  /** What is said to a call for which `allowance` has no room; undefined where it passes all the same. */
  refuse(call: Call, allowance: Allowance, now: number): Failure | undefined {
    this.refused++;
    const { name, mode, headers } = this.current;
    const bucket = allowance instanceof QuotaBucket ? allowance : undefined;
    bucket?.refused(1, now);
    const capacity = bucket?.capacity(now) ?? 0;
    call.note("limit", name, capacity + 1, capacity);
    if (mode === "shadow") return undefined;
    const wait = allowance.wait(now);
    const why = bucket === undefined ? "as its service has it" : describeState(bucket, now);
    return overLimit({
      reason: "RATE_LIMIT",
      detail: `the quota of the rate limit ${name} is used up, ${why}; again in ${Math.ceil(wait)}ms`,
      wait,
      elsewhere: false,
      fields: isTold(headers, call) ? rateLimitFields(capacity, 0, wait) : [],
    });
  }

  private allowance(key: string, clock: Clock): Allowance {
    const { place } = this;
    const rules = (): BucketRules => this.current.counted.quota;
    const id = this.idOf(key);
    if (place.kind === "here") return new QuotaBucket(id, rules, place.stream);
    const local = new QuotaBucket(id, rules, undefined);
    const store = new HeardStore(place.store);
    const batch = (): number => (store.short ? LEASE : LARGE_LEASE);
    return new Lease(key, { clock, store, terms: () => this.terms, batch, onFailure: () => "local", local });
  }

  /** `BucketId`: values are not empty there, so that a part that a call does not have is not in it. */
  private idOf(key: string): BucketId {
    const values = key.split("\0");
    const parts = this.current.key
      .map((part: KeyPart, at: number) => [descriptorKey(part), values[at] ?? ""] as const)
      .filter(([, value]) => value !== "");
    return [["name", this.current.name], ...parts];
  }
}

function describeState(bucket: QuotaBucket, now: number): string {
  switch (bucket.state(now)) {
    case "assigned":
      return "as its service has assigned it";
    case "expired":
      return "whose assignment has expired";
    case "unassigned":
      return "which its service has not assigned yet";
  }
}

/** A store as one key sees it: it is remembered whether there was ever too little of it. */
class HeardStore implements LeaseStore {
  short = false;
  private readonly store: LeaseStore;

  constructor(store: LeaseStore) {
    this.store = store;
  }

  get up(): boolean {
    return this.store.up;
  }

  get retryAt(): number {
    return this.store.retryAt;
  }

  get failures(): number {
    return this.store.failures;
  }

  lease(terms: LeaseTerms, key: string, calls: number, done: (grant: Grant | undefined) => void): void {
    this.store.lease(terms, key, calls, (grant) => {
      this.short ||= grant !== undefined && grant.granted < calls;
      done(grant);
    });
  }
}
