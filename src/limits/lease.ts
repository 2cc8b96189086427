import type { Clock } from "../core/clock.ts";
import type { Allowance } from "./allowance.ts";
import type { Grant, LeaseStore, LeaseTerms } from "./lease-store.ts";

/** What is done with a call while the store does not answer. */
export type OnStoreFailure = "local" | "allow" | "deny";

/** How calls are leased from a store that several share. */
export interface LeaseOptions {
  readonly clock: Clock;
  readonly store: LeaseStore;
  readonly terms: () => LeaseTerms;
  /** Calls that are asked for at once, at most; as many may pass on credit. */
  readonly batch: () => number;
  readonly onFailure: () => OnStoreFailure;
  /** This holder's share, for while the store does not answer. */
  readonly local: Allowance;
}

/** Least milliseconds between two questions of a key that the store had too little for. */
const PAUSE = 20;
/** Most milliseconds between two: the store may have lost what it counted, or somebody has taken it back. */
const RECHECK = 10_000;
/** Least milliseconds for which calls of a token bucket are kept in hand. */
const SHORTEST = 1000;

/**
 * A key's part of a limit that a store keeps for several holders. Calls are asked for in batches, beside the calls that use
 * them, so that no call waits for the store:
 *
 * - while there are calls in hand, they pass; when a quarter is left, the next batch is asked for;
 * - a key that has none yet passes calls on credit, a batch at most, and asks for them in arrears. What was used on credit is
 *   paid from the next grant, so that credit is given once and not again and again;
 * - where the store said that there are none, calls are refused until it said there will be, it says otherwise, or other terms hold;
 * - while the store does not answer, what is in hand is used up, then `local` decides.
 *
 * So all holders together let at most a batch each pass beyond the limit while the store answers, and while it does not what
 * their local shares have left: of those what was used before is taken off. Batches grow from 1 while they are used up, so that a quiet key keeps nothing
 * from the others; what is not used lapses.
 */
export class Lease implements Allowance {
  private readonly key: string;
  private readonly options: LeaseOptions;
  /** Calls in hand; below zero: used on credit. */
  private balance = 0;
  private lapsesAt = 0;
  /** When there will be calls again, as the store said, and by which terms. */
  private deniedUntil = Number.NEGATIVE_INFINITY;
  private deniedBy: LeaseTerms | undefined = undefined;
  /** Before that it is not asked. */
  private askAt = Number.NEGATIVE_INFINITY;
  private batch = 1;
  private asking = false;

  constructor(key: string, options: LeaseOptions) {
    this.key = key;
    this.options = options;
  }

  /** Calls in hand. */
  get held(): number {
    return Math.max(0, this.balance);
  }

  ready(now: number): boolean {
    this.lapse(now);
    if (this.balance >= 1) return true;
    const { store, onFailure, local, batch } = this.options;
    if (!store.up) {
      if (store.retryAt <= now) {
        // Nobody knows what it will say once it is back.
        this.askAt = now;
        this.ask(now);
      }
      const what = onFailure();
      return what === "local" ? local.ready(now) : what === "allow";
    }
    const denied = this.isDenied(now);
    this.ask(now);
    return !denied && this.balance > -batch();
  }

  take(now: number): void {
    const { store, local } = this.options;
    // It follows what is used all the time, so that losing the store is no new beginning.
    if (local.ready(now)) local.take(now);
    if (this.balance < 1 && !store.up) return;
    this.balance--;
    if (this.balance <= this.batch / 4) this.ask(now);
  }

  wait(now: number): number {
    if (this.ready(now)) return 0;
    const { store, onFailure, local } = this.options;
    if (!store.up) return onFailure() === "local" ? local.wait(now) : Math.max(1, store.retryAt - now);
    return Math.max(1, this.deniedUntil - now);
  }

  used(): undefined {
    return undefined;
  }

  good(): number {
    return 0;
  }

  fresh(now: number): boolean {
    this.lapse(now);
    return this.balance === 0 && !this.asking && now >= this.deniedUntil && this.options.local.fresh(now);
  }

  private isDenied(now: number): boolean {
    if (now < this.deniedUntil && this.options.terms() !== this.deniedBy) this.deniedUntil = this.askAt = now;
    return now < this.deniedUntil;
  }

  private ask(now: number): void {
    if (this.asking || now < this.askAt) return;
    this.asking = true;
    const { store, terms, batch } = this.options;
    // A key that did not use what it had in time begins anew.
    this.batch = now < this.lapsesAt ? Math.min(this.batch, batch()) : 1;
    // A store that stands still does what it was asked once it goes on, when nobody waits for the answer any more: whether it
    // answers again costs the limit one call.
    const wanted = store.up ? this.batch - this.balance : 1;
    if (wanted < 1) {
      this.asking = false;
      return;
    }
    const asked = terms();
    store.lease(asked, this.key, wanted, (grant) => this.answered(asked, wanted, grant));
  }

  private answered(terms: LeaseTerms, wanted: number, grant: Grant | undefined): void {
    const { algorithm, pace } = terms;
    this.asking = false;
    if (grant === undefined) return;
    const now = this.options.clock.now();
    this.balance += grant.granted;
    if (grant.granted < wanted) {
      // Calls come back one by one, and are fetched by the batch.
      this.deniedUntil = now + Math.max(grant.wait, PAUSE);
      this.deniedBy = terms;
      this.askAt = Math.min(this.deniedUntil, now + RECHECK);
    } else {
      this.deniedUntil = this.askAt = now;
      this.batch = Math.min(this.options.batch(), this.batch * 2);
    }
    const refilled = (2 * wanted * pace.per) / pace.amount;
    this.lapsesAt = now + (algorithm === "tokenBucket" ? Math.max(SHORTEST, refilled) : grant.wait);
  }

  private lapse(now: number): void {
    if (this.balance <= 0 || now < this.lapsesAt) return;
    this.balance = 0;
  }
}
