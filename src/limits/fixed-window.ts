import type { Clock } from "../core/clock.ts";
import type { Allowance } from "./allowance.ts";
import type { Paced } from "./pace.ts";

/**
 * A quota: a count that begins anew with every second, minute, hour or day of UTC. Around the boundary twice the amount can
 * pass within a short time; a quota by day is meant so.
 */
export class FixedWindow implements Allowance {
  private readonly of: Paced;
  private readonly clock: Clock;
  private endsAt = Number.NEGATIVE_INFINITY;
  private count = 0;

  constructor(of: Paced, clock: Clock) {
    this.of = of;
    this.clock = clock;
  }

  ready(now: number): boolean {
    this.turn(now);
    return this.count < this.of.pace.amount;
  }

  take(now: number): void {
    this.turn(now);
    this.count++;
  }

  wait(now: number): number {
    return this.ready(now) ? 0 : this.endsAt - now;
  }

  used(now: number): number {
    this.turn(now);
    return this.count;
  }

  good(now: number): number {
    this.turn(now);
    return this.endsAt - now;
  }

  fresh(now: number): boolean {
    this.turn(now);
    return this.count === 0;
  }

  private turn(now: number): void {
    if (now < this.endsAt) return;
    const { per } = this.of.pace;
    this.endsAt = now + per - (this.clock.wall() % per);
    this.count = 0;
  }
}
