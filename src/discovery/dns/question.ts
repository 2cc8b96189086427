import { Backoff } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";

/** What every question takes from its surroundings. */
export interface DnsSurroundings {
  readonly clock: Clock;
  /** Uniform in [0, 1), as Math.random. */
  readonly random: () => number;
  /** See DnsOptions. */
  readonly refresh: number;
  readonly maxStale: number | undefined;
}

/** An answer is not asked for again sooner than this, nor later, whatever its time to live; in milliseconds. */
const SOONEST = 1000;
const LATEST = 24 * 3600 * 1000;
/** Share of the time that is added by chance, so that many sidecars do not ask together. */
const SPREAD = 0.1;
/** First pauses after a failure, in milliseconds. */
const RETRY = 250;

/**
 * When a question is asked again, and how long an answer that there is nothing is not believed.
 *
 * A time to live is honoured both ways: what it covers is not asked for, and what is over is. What was never there is believed
 * to be absent at once; what was there is absent without a cause, and stays.
 */
export class DnsQuestion {
  private readonly surroundings: DnsSurroundings;
  private readonly backoff: Backoff;
  private dueAt = Number.NEGATIVE_INFINITY;
  private absentSince: number | undefined = undefined;

  constructor(surroundings: DnsSurroundings) {
    const { random, refresh } = surroundings;
    this.surroundings = surroundings;
    this.backoff = new Backoff({ base: RETRY, cap: Math.max(refresh, RETRY), random });
  }

  /** The clock's milliseconds from which on it is asked again. */
  get due(): number {
    return this.dueAt;
  }

  /** There is something. `ttl` in milliseconds. */
  present(ttl: number | undefined): void {
    this.absentSince = undefined;
    this.answered(ttl);
  }

  /** There is nothing. Gives whether that is believed. */
  absent(hadSomething: boolean): boolean {
    const { clock, maxStale } = this.surroundings;
    this.absentSince ??= clock.now();
    this.answered(undefined);
    return !hadSomething || (maxStale !== undefined && clock.now() - this.absentSince >= maxStale);
  }

  failed(): void {
    this.dueAt = this.surroundings.clock.now() + RETRY + this.backoff.next();
  }

  private answered(ttl: number | undefined): void {
    const { clock, random, refresh } = this.surroundings;
    this.backoff.reset();
    const ms = ttl === undefined ? refresh : Math.min(LATEST, Math.max(SOONEST, ttl));
    this.dueAt = clock.now() + ms * (1 + SPREAD * random());
  }
}
