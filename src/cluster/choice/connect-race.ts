import type { Clock, Timer } from "../../core/clock.ts";
import type { Endpoint } from "../endpoint.ts";

/** RFC 8305 §5, "Connection Attempt Delay": milliseconds until the next one is tried as well. */
const DELAY = 250;

interface Race {
  readonly order: readonly Endpoint[];
  readonly won: (winner: Endpoint) => void;
  timer: Timer | undefined;
}

/**
 * Connects to one endpoint after the other until one stands, where calls wait for the first of them. Who waits elsewhere then goes on
 * to the one that stands.
 */
export class ConnectRaces {
  private readonly clock: Clock;
  private readonly races = new Map<Endpoint, Race>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A call is about to wait for a connection of `first`. `won`: told once, which endpoint of the order has one. */
  begin(first: Endpoint, order: readonly Endpoint[], won: (winner: Endpoint) => void): void {
    if (this.races.has(first)) return;
    const race: Race = { order, won, timer: undefined };
    this.races.set(first, race);
    this.goOn(first, race, new Set([first]));
  }

  /** An endpoint has a connection. */
  stands(endpoint: Endpoint): void {
    for (const [first, { order, won, timer }] of this.races) {
      if (!order.includes(endpoint)) continue;
      timer?.cancel();
      this.races.delete(first);
      won(endpoint);
      for (const other of order)
        if (other !== endpoint)
          other.pool.giveUp(`${other.label} has no connection yet, and ${endpoint.label} has one`);
    }
  }

  close(): void {
    for (const { timer } of this.races.values()) timer?.cancel();
    this.races.clear();
  }

  private goOn(first: Endpoint, race: Race, begun: Set<Endpoint>): void {
    race.timer = this.clock.setTimer(DELAY, () => {
      const next = race.order.find((endpoint) => endpoint.usable && !begun.has(endpoint));
      if (next === undefined) {
        this.races.delete(first);
        return;
      }
      begun.add(next);
      next.pool.probe();
      this.goOn(first, race, begun);
    });
  }
}
