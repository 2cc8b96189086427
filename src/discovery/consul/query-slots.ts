import type { Clock } from "../../core/clock.ts";

/** Gives the slot back. Idempotent. */
export type Release = () => void;

/** Who wants a slot. */
export interface Applicant {
  /** It has no answer yet: it goes before all who have. */
  readonly urgent: boolean;
  /** Calls a second for its name: the more, the less it waits. */
  readonly rate: number;
  /** The clock's milliseconds since when it has had no news. */
  readonly since: number;
}

interface Place extends Applicant {
  readonly grant: (release: Release) => void;
}

/** How the number of slots moves. Times in milliseconds. */
export interface SlotLimits {
  /** Consul allows 200 connections a client address by default; 64 leave room for others on the machine. */
  readonly most: number;
  /** With how many it begins: many sidecars may start at once. */
  readonly first: number;
  /** However often connections are refused, so many are tried. */
  readonly least: number;
  /** After a refusal the number falls by a quarter, but no more often than this, … */
  readonly shrinkApart: number;
  /** … and rises by one each so often. */
  readonly growApart: number;
}

/** Bounds for one agent, whose own default is 200 connections of one address. Pauses in milliseconds. */
export const SLOT_LIMITS: SlotLimits = { most: 64, first: 16, least: 4, shrinkApart: 1000, growApart: 5000 };

/**
 * A bounded number of blocking queries at once, fewer where the agent refuses connections. Names share the slots in turn:
 * first those that have no answer yet, then who has waited longest for its share, a busy name's being larger; so the
 * busiest are hardly ever without a query, and every other one has its turn.
 */
export class QuerySlots {
  private readonly clock: Clock;
  private readonly limits: SlotLimits;
  private readonly onSize: (size: number, why: string | undefined) => void;
  private size: number;
  private used = 0;
  private readonly places = new Set<Place>();
  /** Nothing was ever refused: more slots cost nothing. */
  private unbounded = true;
  private shrunkAt = Number.NEGATIVE_INFINITY;
  private grownAt = Number.NEGATIVE_INFINITY;

  /** `onSize` is told how many slots there are, and why where they became fewer. */
  constructor(
    clock: Clock,
    onSize: (size: number, why: string | undefined) => void = () => {},
    limits: SlotLimits = SLOT_LIMITS,
  ) {
    this.clock = clock;
    this.limits = limits;
    this.onSize = onSize;
    this.size = limits.first;
    onSize(this.size, undefined);
  }

  /** How many queue for a slot. */
  get waiting(): number {
    return this.places.size;
  }

  /** How many slots there are now. */
  get count(): number {
    return this.size;
  }

  /** Resolves with the slot, or with undefined when `signal` fires first. */
  acquire(applicant: Applicant, signal: AbortSignal): Promise<Release | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.used < this.size && this.places.size === 0) return Promise.resolve(this.slot());
    return new Promise((resolve) => {
      const abort = () => {
        this.places.delete(place);
        resolve(undefined);
      };
      const grant = (release: Release) => {
        signal.removeEventListener("abort", abort);
        resolve(release);
      };
      const place: Place = { ...applicant, grant };
      this.places.add(place);
      signal.addEventListener("abort", abort, { once: true });
      this.serve();
    });
  }

  /** The agent took no connection, as it does where it has too many. */
  refused(why: string): void {
    const now = this.clock.now();
    this.grownAt = now;
    // So few are not too many: there is another reason.
    if (this.used <= this.limits.least || now - this.shrunkAt < this.limits.shrinkApart) return;
    this.unbounded = false;
    this.shrunkAt = now;
    // Slots that nobody uses are no connections that could be saved.
    const size = Math.max(this.limits.least, Math.floor((Math.min(this.size, this.used) * 3) / 4));
    this.resize(size, why);
  }

  private slot(): Release {
    this.used += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.used -= 1;
      this.grow();
      this.serve();
    };
  }

  /** Somebody waits although all slots were used: there may be one more. First answers come fast enough without. */
  private grow(): void {
    if (this.places.size === 0 || this.size >= this.limits.most) return;
    for (const { urgent } of this.places) if (urgent) return;
    const now = this.clock.now();
    if (!this.unbounded && now - this.grownAt < this.limits.growApart) return;
    this.grownAt = now;
    this.resize(this.size + 1);
  }

  private resize(size: number, why?: string): void {
    this.size = size;
    this.onSize(size, why);
  }

  private serve(): void {
    while (this.used < this.size) {
      const next = this.next();
      if (next === undefined) return;
      this.places.delete(next);
      next.grant(this.slot());
    }
  }

  private next(): Place | undefined {
    const now = this.clock.now();
    let found: Place | undefined;
    let best = Number.NEGATIVE_INFINITY;
    for (const place of this.places) {
      if (place.urgent) return place;
      // Above 0 from the beginning, so that of those who came in the same moment the busiest goes first.
      const share = (now - place.since + 1) * (1 + Math.log2(1 + place.rate));
      if (share <= best) continue;
      best = share;
      found = place;
    }
    return found;
  }
}
