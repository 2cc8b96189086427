import type { Cluster } from "../../cluster/cluster.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { TokenBucket } from "../../core/token-bucket.ts";
import { failure } from "../../http/call.ts";
import type { Resolution, Target } from "../../proxy/target.ts";

/** Bounds of the names that nobody declared, from `names.onDemand`. Times in milliseconds, rate in lookups a second. */
export interface OnDemandLimits {
  readonly max: number;
  readonly idle: number;
  readonly negative: number;
  readonly rate: number;
}

/** What a looked-up name needs of its surroundings. */
export interface OnDemandHost {
  cluster(name: string): Cluster;
  /** The target of a name that turned out to exist: from here on it has metrics of its own. */
  target(cluster: Cluster): Target;
  /** The name is forgotten: its series go, too. */
  forget(target: Target): void;
}

interface Entry {
  readonly cluster: Cluster;
  target: Target | undefined;
  usedAt: number;
  /** Since when it is known to have no instance; undefined while it has, or while nothing is known. */
  emptySince: number | undefined;
}

/** Milliseconds between looks for names that can go. */
const SWEEP = 1000;

/**
 * Names that are looked up because a caller used them.
 *
 * Invariants: at most `max` names are held, and at most `rate` new ones a second are asked for, so that a caller who makes
 * names up costs neither watches nor series nor memory; a name without an instance goes after `negative`, one that is not
 * used after `idle`.
 */
export class OnDemand {
  /** In force from the next lookup on. */
  limits: OnDemandLimits;
  private readonly host: OnDemandHost;
  private readonly clock: Clock;
  private readonly entries = new Map<string, Entry>();
  private readonly bucket = new TokenBucket();
  private timer: Timer | undefined = undefined;

  constructor(limits: OnDemandLimits, host: OnDemandHost, clock: Clock) {
    this.limits = limits;
    this.host = host;
    this.clock = clock;
  }

  /** Clusters of the names that have an instance, for people and for metrics. */
  *clusters(): IterableIterator<Cluster> {
    for (const { cluster, target } of this.entries.values()) if (target !== undefined) yield cluster;
  }

  get size(): number {
    return this.entries.size;
  }

  /** What becomes of a call for `name`. */
  lookup(name: string): Resolution {
    const now = this.clock.now();
    let entry = this.entries.get(name);
    if (entry === undefined) {
      if (this.entries.size >= this.limits.max)
        return refused(`${this.limits.max} undeclared names are in use already`);
      if (!this.take(now)) return refused(`more than ${this.limits.rate} undeclared names a second are not looked up`);
      entry = { cluster: this.host.cluster(name), target: undefined, usedAt: now, emptySince: undefined };
      this.put(name, entry);
    }
    entry.usedAt = now;
    return this.resolve(name, entry);
  }

  /** The name is declared from now on: gives its cluster away, with the connections and the health of its endpoints. */
  release(name: string): Cluster | undefined {
    const entry = this.entries.get(name);
    this.entries.delete(name);
    return entry?.cluster;
  }

  /** A name that was declared is not any more: what was found out of it stays. False where there is no room for it. */
  adopt(name: string, cluster: Cluster): boolean {
    if (this.entries.size >= this.limits.max) return false;
    this.put(name, { cluster, target: this.host.target(cluster), usedAt: this.clock.now(), emptySince: undefined });
    return true;
  }

  /** Every cluster that is held, known to exist or not. */
  *held(): IterableIterator<Cluster> {
    for (const { cluster } of this.entries.values()) yield cluster;
  }

  /** Forgets every name. */
  clear(): void {
    this.timer?.cancel();
    this.timer = undefined;
    for (const name of [...this.entries.keys()]) this.drop(name);
  }

  private resolve(name: string, entry: Entry): Resolution {
    const { cluster } = entry;
    if (!cluster.known)
      return {
        kind: "wait",
        what: "its name to be looked up",
        why: () => "its name was not found",
        settle: (again) => cluster.whenKnown(again),
      };
    if (cluster.size > 0) {
      entry.emptySince = undefined;
      entry.target ??= this.host.target(cluster);
    } else {
      entry.emptySince ??= this.clock.now();
    }
    if (entry.target !== undefined) return { kind: "target", target: entry.target };
    return { kind: "failed", failure: failure("NO_ENDPOINTS", `${name} has no instance`, { unprocessed: true }) };
  }

  private put(name: string, entry: Entry): void {
    this.entries.set(name, entry);
    this.timer ??= this.clock.setTimer(SWEEP, () => this.sweep());
  }

  private take(now: number): boolean {
    const { rate } = this.limits;
    // Below one a second a whole token has to fit as well.
    return this.bucket.take(rate, Math.max(1, rate), now);
  }

  private sweep(): void {
    const now = this.clock.now();
    for (const [name, entry] of this.entries) {
      const { cluster } = entry;
      // Whoever asked may have gone before the answer came, and nobody has asked since.
      entry.emptySince = cluster.known && cluster.size === 0 ? (entry.emptySince ?? now) : undefined;
      const missing = entry.emptySince !== undefined && now - entry.emptySince >= this.limits.negative;
      if ((missing || now - entry.usedAt >= this.limits.idle) && cluster.activeCalls === 0) this.drop(name);
    }
    this.timer = this.entries.size > 0 ? this.clock.setTimer(SWEEP, () => this.sweep()) : undefined;
  }

  private drop(name: string): void {
    const entry = this.entries.get(name);
    this.entries.delete(name);
    if (entry?.target !== undefined) this.host.forget(entry.target);
    entry?.cluster.close();
  }
}

function refused(detail: string): Resolution {
  return { kind: "failed", failure: failure("LOOKUP_LIMIT", detail) };
}
