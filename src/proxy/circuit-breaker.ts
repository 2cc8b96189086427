import { EventEmitter } from "node:events";
import Opossum from "opossum";
import type { Clock, Timer } from "../core/clock.ts";

/** When a breaker opens, and for how long. */
export interface BreakerOptions {
  /** Share of calls that fail, from which on the breaker opens. */
  readonly failureRate: number;
  /** Milliseconds that it looks back. */
  readonly window: number;
  /** Calls in the window below which it stays closed. */
  readonly minimumRequests: number;
  /** Milliseconds until a call may try again. */
  readonly openFor: number;
  /** Milliseconds from which on an answer counts as slow, and the share of slow ones from which on it opens. */
  readonly slow: { readonly call: number; readonly rate: number } | undefined;
}

/** The one call that an open breaker lets through. */
interface Probe {
  readonly kind: "probe";
  /** Milliseconds of the clock. */
  readonly since: number;
  /** How often the breaker had opened by then. */
  readonly opened: number;
}

/** What a call needs to leave again. */
export type Permit = "call" | Probe;

/** `closed`: calls pass; `open`: none does; `halfOpen`: one at a time is to find out. */
export type BreakerState = "closed" | "open" | "halfOpen";

/** Hears when a breaker goes over to another state. */
export type BreakerListener = (state: BreakerState, why: string) => void;

const BUCKETS = 10;
/** Milliseconds in which outcomes are collected before opossum hears of them. */
const FLUSH = 100;
/** Failures that are not kept from it so long. */
const SOON = 16;
const FAILED = new Error("the call failed");

/**
 * A circuit breaker of opossum, fed in batches: its state machine and its rolling window are used, its `fire` only for a failure that
 * may trip it. On the path of a call there is a look at the state and a count.
 *
 *   closed -> open -> halfOpen -> closed or open
 *
 * Invariants:
 * - outcomes are counted here until `flush` writes them into the current bucket of opossum's window; of those with a failure one goes
 *   through `fire`, which is where opossum compares rate and volume;
 * - in halfOpen one probe is let through at a time; one that is cancelled says nothing and leaves its place to the next, and one that
 *   has lasted for `openFor`, as streams do, decides still, but is not waited for;
 * - what began while closed and ends when it no longer is counts nothing.
 */
export class CircuitBreaker {
  private readonly options: BreakerOptions;
  private readonly clock: Clock;
  private readonly listener: BreakerListener;
  private readonly opossum: Opossum<[Error | undefined], undefined>;
  /** Turns opossum's buckets; this way it needs no timer of its own, and none while there are no calls. */
  private readonly rotation = new EventEmitter();
  private readonly slow: number[] = Array.from({ length: BUCKETS }, () => 0);
  private turnedAt: number;
  private timer: Timer | undefined = undefined;
  private good = 0;
  private bad = 0;
  private tardy = 0;
  /** Calls in opossum's window when it was told last. */
  private heard = 0;
  private probing: Probe | undefined = undefined;
  private openedAt = 0;
  private why = "";
  state: BreakerState = "closed";
  /** Share of the calls in its window that failed, as opossum was told last. */
  share = 0;
  private readonly words: Readonly<Record<BreakerState, string>>;
  /** How often it has opened, and calls that it has refused. */
  opened = 0;
  refused = 0;

  /** `name`: for people. */
  constructor(options: BreakerOptions, clock: Clock, listener: BreakerListener, name = "") {
    this.options = options;
    this.words = { closed: `${name} closed`, open: `${name} open`, halfOpen: `${name} halfOpen` };
    this.clock = clock;
    this.listener = listener;
    this.turnedAt = clock.now();
    this.opossum = new Opossum(failOrNot, {
      timeout: false,
      // opossum opens above its threshold, a breaker at it: of calls that all fail 100% is enough.
      errorThresholdPercentage: options.failureRate * 100 - 1e-6,
      volumeThreshold: options.minimumRequests,
      resetTimeout: options.openFor,
      rollingCountTimeout: options.window,
      rollingCountBuckets: BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.rotation,
    });
    this.opossum.on("open", () => this.changed("open"));
    this.opossum.on("halfOpen", () => this.changed("halfOpen"));
    this.opossum.on("close", () => this.changed("closed"));
  }

  /** Name and state, as they are recorded with every call. */
  get word(): string {
    return this.words[this.state];
  }

  /** The share of failures at which it opens. */
  get threshold(): number {
    return this.options.failureRate;
  }

  /** Lets a call through, or not. */
  enter(): Permit | undefined {
    if (this.state === "closed") return "call";
    if (this.state === "halfOpen") {
      const since = this.clock.now();
      if (this.probing === undefined || since - this.probing.since >= this.options.openFor) {
        this.probing = { kind: "probe", since, opened: this.opened };
        return this.probing;
      }
    }
    this.refused++;
    return undefined;
  }

  /** A call is over; once for each that was let through. `ms`: until its answer began. A caller's cancel says nothing. */
  leave(permit: Permit, outcome: "ok" | "failure" | "cancelled", ms: number): void {
    const slow = this.options.slow !== undefined && ms >= this.options.slow.call;
    if (permit !== "call") this.probed(permit, outcome, slow);
    else if (this.state === "closed" && outcome !== "cancelled") this.count(outcome === "ok", slow);
  }

  /** Why calls are refused, in words. */
  get reason(): string {
    if (this.state === "halfOpen") return `${this.why}; one call is trying again`;
    const left = Math.max(0, this.options.openFor - (this.clock.now() - this.openedAt));
    return `${this.why}; the next try is in ${Math.ceil(left / 100) / 10}s`;
  }

  /** What the window holds, for people. */
  stats(): { readonly calls: number; readonly failures: number; readonly slow: number } {
    this.flush();
    this.turn();
    const { fires, failures } = this.opossum.stats;
    return { calls: fires, failures, slow: sum(this.slow) };
  }

  /** Opens on another's word: another thread has seen the same upstream fail. */
  open(why: string): void {
    this.why = why;
    this.opossum.open();
  }

  /** Is never asked again. */
  close(): void {
    this.timer?.cancel();
    this.opossum.shutdown();
  }

  private count(ok: boolean, slow: boolean): void {
    if (ok) this.good++;
    else this.bad++;
    if (slow) this.tardy++;
    // Where a few calls are enough to open it, the last of them does.
    const missing = this.options.minimumRequests - this.heard;
    if (this.bad + this.tardy >= (missing > 0 ? Math.min(SOON, missing) : SOON)) this.flush();
    else this.timer ??= this.clock.setTimer(FLUSH, () => this.flush());
  }

  private probed(probe: Probe, outcome: "ok" | "failure" | "cancelled", slow: boolean): void {
    // One that began before it was open again decides nothing.
    if (probe.opened !== this.opened) return;
    if (probe === this.probing) this.probing = undefined;
    if (this.state !== "halfOpen" || outcome === "cancelled") return;
    if (outcome === "ok" && !slow) {
      this.opossum.close();
      return;
    }
    this.why = outcome === "ok" ? "the call that tried again was slow" : "the call that tried again failed";
    void this.opossum.fire(FAILED).catch(nothing);
  }

  /** Tells opossum what has been counted; it may open. */
  private flush(): void {
    this.timer?.cancel();
    this.timer = undefined;
    const { good, bad, tardy } = this;
    this.good = this.bad = this.tardy = 0;
    if (good + bad === 0 || this.state !== "closed") return;
    this.turn();
    const [current] = this.opossum.status.window;
    if (current === undefined) return;
    // The one that is fired below counts itself.
    const fired = bad > 0 ? 1 : 0;
    current.fires += good + bad - fired;
    current.successes += good;
    current.failures += bad - fired;
    this.slow[0] = (this.slow[0] ?? 0) + tardy;
    const { fires, failures } = this.opossum.stats;
    this.share = (failures + fired) / (fires + fired);
    this.heard = fires + fired;
    if (fired > 0) {
      this.why = this.failureWords();
      void this.opossum.fire(FAILED).catch(nothing);
    }
    if (tardy > 0) this.openIfSlow();
  }

  private openIfSlow(): void {
    const { slow, minimumRequests } = this.options;
    const { fires } = this.opossum.stats;
    const late = sum(this.slow);
    if (slow === undefined || this.state !== "closed" || fires < minimumRequests || late < fires * slow.rate) return;
    this.open(`${late} of ${fires} calls in ${this.options.window / 1000}s took ${slow.call}ms or more`);
  }

  private failureWords(): string {
    const { fires, failures } = this.opossum.stats;
    return `${failures + 1} of ${fires + 1} calls in ${this.options.window / 1000}s failed`;
  }

  /** Turns the window to where the clock is. */
  private turn(): void {
    const length = this.options.window / BUCKETS;
    const turns = Math.floor((this.clock.now() - this.turnedAt) / length);
    if (turns <= 0) return;
    this.turnedAt += turns * length;
    for (let at = Math.min(turns, BUCKETS); at > 0; at--) {
      this.rotation.emit("rotate");
      this.slow.pop();
      this.slow.unshift(0);
    }
  }

  private changed(state: BreakerState): void {
    this.state = state;
    if (state === "open") {
      this.opened++;
      this.openedAt = this.clock.now();
      this.probing = undefined;
    } else if (state === "closed") {
      this.forget();
    }
    this.listener(state, this.why);
  }

  /** opossum keeps its window over closing: with it the next failure would open again. */
  private forget(): void {
    this.good = this.bad = this.tardy = this.heard = 0;
    this.slow.fill(0);
    this.share = 0;
    for (const bucket of this.opossum.status.window) bucket.fires = bucket.successes = bucket.failures = 0;
  }
}

function failOrNot(error: Error | undefined): Promise<undefined> {
  if (error !== undefined) throw error;
  return Promise.resolve(undefined);
}

function nothing(): void {}

function sum(values: readonly number[]): number {
  return values.reduce((all, one) => all + one, 0);
}
