import { type Address, formatAddress } from "../core/address.ts";
import type { EndpointSpec } from "./source.ts";

/** One name, as the others see it. */
export interface Claimant {
  readonly name: string;
  /** Whose instances it stands for: two names of one service take nothing from each other. */
  readonly service: string;
  /** Others were given, or have lost, an address that this name was given too, or may have from before. */
  reconsider(): void;
}

interface Claim {
  /** The clock's milliseconds since when the name has been given this address, without a break. */
  readonly since: number;
  /** Set where a sidecar is there: see `Tenures`. */
  readonly tenure: bigint | undefined;
}

/**
 * Of endpoints that are sidecars, which front one service and no other: a number that grows with every registration and
 * every change of health, whoever's they are. By endpoint id.
 */
export type Tenures = ReadonlyMap<string, bigint>;

/**
 * Which names of one source were given which address, and since when. One address may well be given to several services at
 * once: a server that has many, a load balancer. But it is no longer taken for one of them
 * - when that one's last good answer is older than another's that has it since: it was given away meanwhile;
 * - when a sidecar is there for each, since it fronts one service only: who came or changed last is there now.
 */
export class AddressClaims {
  private readonly byAddress = new Map<string, Map<Claimant, Claim>>();
  private readonly given = new Map<Claimant, ReadonlySet<string>>();
  /** Those whose list is an old one. */
  private readonly keepers = new Set<Claimant>();

  /** From now on, until its next good answer, what a name has is from before: it is told of everything new. */
  keeps(claimant: Claimant): void {
    this.keepers.add(claimant);
  }

  /**
   * A good answer at `now` of the clock. What the first one has in common with `before`, the name's answer from before a
   * restart, was its own then already.
   */
  take(
    claimant: Claimant,
    endpoints: readonly EndpointSpec[],
    now: number,
    tenures?: Tenures,
    before: readonly EndpointSpec[] = [],
  ): void {
    const earlier = new Set(this.given.has(claimant) ? [] : before.map(({ address }) => formatAddress(address)));
    this.keepers.delete(claimant);
    const given = new Set<string>();
    const others = new Set<Claimant>();
    let isNew = false;
    for (const { id, address } of endpoints) {
      const key = formatAddress(address);
      given.add(key);
      const claims = this.byAddress.get(key) ?? new Map<Claimant, Claim>();
      this.byAddress.set(key, claims);
      const old = claims.get(claimant);
      const tenure = tenures?.get(id);
      claims.set(claimant, { since: old?.since ?? (earlier.has(key) ? Number.NEGATIVE_INFINITY : now), tenure });
      isNew ||= old === undefined;
      if (old?.tenure !== tenure) for (const other of claims.keys()) others.add(other);
    }
    this.release(claimant, (key) => !given.has(key), others);
    this.given.set(claimant, given);
    if (isNew) for (const keeper of this.keepers) others.add(keeper);
    others.delete(claimant);
    for (const other of others) other.reconsider();
  }

  /** The name is watched no longer. */
  forget(claimant: Claimant): void {
    const others = new Set<Claimant>();
    this.release(claimant, () => true, others);
    this.given.delete(claimant);
    this.keepers.delete(claimant);
    for (const other of others) other.reconsider();
  }

  /**
   * Who has an address now in the place of `claimant`. `goodAt`: the clock's milliseconds of its last good answer where
   * that is not in force any more; undefined while it is.
   */
  successor(claimant: Claimant, address: Address, goodAt: number | undefined): Claimant | undefined {
    const claims = this.byAddress.get(formatAddress(address));
    if (claims === undefined) return undefined;
    const own = claims.get(claimant)?.tenure;
    for (const [other, { since, tenure }] of claims) {
      if (other === claimant || other.service === claimant.service) continue;
      if (goodAt !== undefined && since > goodAt) return other;
      if (tenure !== undefined && own !== undefined && tenure > own) return other;
    }
    return undefined;
  }

  private release(claimant: Claimant, isGone: (key: string) => boolean, others: Set<Claimant>): void {
    for (const key of this.given.get(claimant) ?? []) {
      if (!isGone(key)) continue;
      const claims = this.byAddress.get(key);
      claims?.delete(claimant);
      for (const other of claims?.keys() ?? []) others.add(other);
      if (claims?.size === 0) this.byAddress.delete(key);
    }
  }
}
