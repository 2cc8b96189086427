/** How endpoints that say that they have too many calls are given fewer. Shares are in (0, 1], times in milliseconds. */
export interface BiasSettings {
  /** The share of its weight that an endpoint keeps, whatever it says. */
  readonly floor: number;
  /** For how long it has less where it does not say when to come again, and for how long at most. */
  readonly hold: number;
  readonly maxHold: number;
  /** How long it takes from nothing back to its whole weight. */
  readonly recovery: number;
}

/** Milliseconds between two cuts: what is refused meanwhile was mostly on its way before the first. */
const BETWEEN_CUTS = 100;

/**
 * What is due to an endpoint that answers now and then that it has too many calls. It is halved by a refusal, held for as long as the
 * endpoint says, and grows again evenly after that, as TCP does with its window: so it comes to about what the endpoint takes, without
 * anybody knowing its limit, and is never nothing.
 */
export class LoadBias {
  private readonly settings: () => BiasSettings;
  /** What is due until `heldUntil`. */
  private share = 1;
  private held = Number.NEGATIVE_INFINITY;
  private cutAt = Number.NEGATIVE_INFINITY;

  constructor(settings: () => BiasSettings) {
    this.settings = settings;
  }

  /** Milliseconds of the clock from which on it grows again. */
  get heldUntil(): number {
    return this.held;
  }

  /** The share of its weight that is due to it, in (0, 1]. */
  at(now: number): number {
    return now < this.held ? this.share : Math.min(1, this.share + (now - this.held) / this.settings().recovery);
  }

  /** The endpoint has refused a call. `wait`: milliseconds until it wants to be asked again; 0: it does not say. True: less is due to it. */
  refused(wait: number, now: number): boolean {
    const { floor, hold, maxHold } = this.settings();
    const before = this.at(now);
    this.held = Math.max(this.held, now + Math.min(maxHold, wait === 0 ? hold : wait));
    this.share = before;
    if (now - this.cutAt < BETWEEN_CUTS) return false;
    this.cutAt = now;
    this.share = Math.max(floor, before / 2);
    return this.share < before;
  }
}
