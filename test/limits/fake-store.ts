import { algorithms } from "../../src/limits/algorithms.ts";
import type { Allowance } from "../../src/limits/allowance.ts";
import type { Grant, LeaseStore, LeaseTerms } from "../../src/limits/lease-store.ts";
import type { FakeClock } from "../support/clock.ts";

/** A store that a test can slow down and take away. It counts as the real ones do, by an allowance a key. */
export class FakeStore implements LeaseStore {
  up = true;
  retryAt = 0;
  failures = 0;
  asked = 0;
  /** Calls of leases that were asked for and that nobody waits for any more; one that stood still would give them all the same. */
  orphaned = 0;
  /** Milliseconds until an answer. */
  latency = 2;
  /** It does not answer any more. */
  gone = false;
  private readonly clock: FakeClock;
  private readonly keys = new Map<string, Allowance>();

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** It comes back having forgotten everything. */
  restart(): void {
    this.gone = false;
    this.keys.clear();
  }

  lease(terms: LeaseTerms, key: string, calls: number, done: (grant: Grant | undefined) => void): void {
    this.asked++;
    this.clock.setTimer(this.latency, () => {
      if (this.gone) {
        this.failures++;
        this.orphaned += calls;
        this.up = false;
        this.retryAt = this.clock.now() + 250;
        done(undefined);
        return;
      }
      this.up = true;
      done(this.grant(terms, key, calls));
    });
  }

  private grant({ algorithm, pace }: LeaseTerms, key: string, calls: number): Grant {
    const now = this.clock.now();
    const allowance = this.keys.get(key) ?? algorithms[algorithm]({ pace }, this.clock);
    this.keys.set(key, allowance);
    let granted = 0;
    while (granted < calls && allowance.ready(now)) {
      allowance.take(now);
      granted++;
    }
    return { granted, wait: granted < calls ? allowance.wait(now) : allowance.good(now) };
  }
}
