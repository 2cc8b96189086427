import { isDeepStrictEqual } from "node:util";
import type { Allowance } from "../allowance.ts";
import type { Pace, Paced } from "../pace.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type BucketId, bucketKey, type Strategy, type Usage } from "./assignment.ts";

/** What is done with calls that no assignment is in force for: all pass, none does, or as many as the limit of the file says. */
export type Fallback = "allow" | "deny" | "limit";

/** How a bucket does without its service. Times in milliseconds. */
export interface BucketRules {
  /** Before the first assignment. */
  readonly unassigned: Fallback;
  /** After the last one, and for how long; after that it is as before the first one. */
  readonly expired: Fallback | "keep";
  readonly expiredFor: number;
  /** What `limit` is. */
  readonly pace: Pace | undefined;
  /** How often its usage is reported. */
  readonly report: number;
}

/** Who reports a bucket's usage, and is told when there is something to say for the first time. */
export interface BucketReporter {
  watch(bucket: QuotaBucket): void;
}

/** Milliseconds for which what passes is known, at most: an assignment may be replaced at any time. */
const LONGEST = 1000;
const NOTHING: Pace = { amount: 1, per: 1000, burst: 1 };

/**
 * The calls of one key of a limit whose quota a service assigns. Every call is decided at once by the assignment in force; what was
 * decided is reported beside the calls.
 *
 * Invariant: while it is watched its reporter knows it; one that is not begins anew with the next call.
 */
export class QuotaBucket implements Allowance {
  readonly id: BucketId;
  readonly key: string;
  private readonly rulesNow: () => BucketRules;
  private readonly reporter: BucketReporter | undefined;
  private assignment: { readonly strategy: Strategy; readonly until: number } | undefined = undefined;
  private pace: Pace = NOTHING;
  private readonly assigned: TokenBucket;
  private readonly fallback: TokenBucket;
  private watched = false;
  private allowed = 0;
  private denied = 0;
  private reportedAt = 0;
  private usedAt = 0;

  /** `reporter`: undefined where it stands in for one that another thread keeps. */
  constructor(id: BucketId, rules: () => BucketRules, reporter: BucketReporter | undefined) {
    this.id = id;
    this.key = bucketKey(id);
    this.rulesNow = rules;
    this.reporter = reporter;
    const current = (): Pace => this.pace;
    const own = (): Pace => rules().pace ?? NOTHING;
    this.assigned = new TokenBucket(pacedBy(current));
    this.fallback = new TokenBucket(pacedBy(own));
  }

  get rules(): BucketRules {
    return this.rulesNow();
  }

  ready(now: number): boolean {
    const by = this.decider(now);
    return typeof by === "string" ? by === "allow" : by.ready(now);
  }

  take(now: number): void {
    const by = this.decider(now);
    if (typeof by !== "string") by.take(now);
    this.allowed++;
    this.touch(now);
  }

  /** Calls for which there was no room. */
  refused(calls: number, now: number): void {
    this.denied += calls;
    this.touch(now);
  }

  wait(now: number): number {
    const by = this.decider(now);
    if (typeof by !== "string") return by.wait(now);
    return by === "allow" ? 0 : Math.max(1, Math.min(this.rules.report, this.leftOf(now)));
  }

  used(now: number): number | undefined {
    const by = this.decider(now);
    return typeof by === "string" ? undefined : by.used(now);
  }

  good(now: number): number {
    return Math.max(1, Math.min(LONGEST, this.leftOf(now)));
  }

  fresh(now: number): boolean {
    return !this.watched && this.state(now) === "unassigned" && this.fallback.fresh(now);
  }

  /** Whether an assignment is in force, was, or is still to come. */
  state(now: number): "unassigned" | "assigned" | "expired" {
    const { assignment } = this;
    if (assignment === undefined || now >= assignment.until + this.rules.expiredFor) return "unassigned";
    return now < assignment.until ? "assigned" : "expired";
  }

  /** The most calls that pass at once; undefined where all or none do. */
  capacity(now: number): number | undefined {
    const by = this.decider(now);
    if (typeof by === "string") return undefined;
    return by === this.assigned ? this.pace.burst : (this.rules.pace?.burst ?? undefined);
  }

  /**
   * The service assigns a quota. True: it is another one than that in force, so that the usage under the one before is to be reported.
   * A bucket that goes on under another pace has no new burst for it.
   */
  assign(strategy: Strategy, ttl: number, now: number): boolean {
    const before = this.state(now) === "assigned" ? this.assignment?.strategy : undefined;
    this.assignment = { strategy, until: now + ttl };
    if (strategy.kind === "pace") this.pace = strategy.pace;
    return !isDeepStrictEqual(before, strategy);
  }

  /** Nobody reports it any more: everything is as before the first call. */
  abandon(): void {
    this.watched = false;
    this.assignment = undefined;
    this.allowed = 0;
    this.denied = 0;
  }

  /** When its usage is due to be reported. */
  get dueAt(): number {
    return this.reportedAt + this.rules.report;
  }

  /** Whether nothing has come for so long that it is no longer worth a report. */
  isIdle(now: number, after: number): boolean {
    return this.allowed + this.denied === 0 && now - this.usedAt >= after && this.state(now) === "unassigned";
  }

  /** What it has let pass and refused since this was asked last. */
  takeUsage(now: number): Usage {
    const { id, allowed, denied } = this;
    const elapsed = Math.max(1, now - this.reportedAt);
    this.allowed = 0;
    this.denied = 0;
    this.reportedAt = now;
    return { id, elapsed, allowed, denied };
  }

  /** Nobody has read a report. */
  giveBack({ elapsed, allowed, denied }: Usage): void {
    this.allowed += allowed;
    this.denied += denied;
    this.reportedAt -= elapsed;
  }

  private touch(now: number): void {
    this.usedAt = now;
    if (this.watched || this.reporter === undefined) return;
    this.watched = true;
    this.reportedAt = now;
    this.reporter.watch(this);
  }

  private decider(now: number): "allow" | "deny" | TokenBucket {
    const { unassigned, expired } = this.rules;
    const state = this.state(now);
    const { strategy } = this.assignment ?? {};
    if (strategy === undefined || state === "unassigned") return this.falling(unassigned);
    if (state === "expired" && expired !== "keep") return this.falling(expired);
    return strategy.kind === "pace" ? this.assigned : strategy.kind;
  }

  private falling(word: Fallback): "allow" | "deny" | TokenBucket {
    return word === "limit" ? this.fallback : word;
  }

  /** Milliseconds until the assignment in force ends. */
  private leftOf(now: number): number {
    const { assignment } = this;
    return assignment !== undefined && now < assignment.until ? assignment.until - now : LONGEST;
  }
}

function pacedBy(of: () => Pace): Paced {
  return {
    get pace() {
      return of();
    },
  };
}
