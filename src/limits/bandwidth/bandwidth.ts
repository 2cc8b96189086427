import type { Timer, Timers } from "../../core/clock.ts";
import { type Link, LinkedList } from "../../core/linked-list.ts";
import type { Pace, Paced } from "../../core/pace.ts";

/** Octets that one may send before it is another's turn: a frame of HTTP/2. */
const QUANTUM = 16_384;
/** Seconds of the rate that are worth a turn: more often nobody is woken, and no octets are sent by themselves. */
const WORTHWHILE = 0.01;

/** How many octets may pass. */
export interface BandwidthRate {
  /** A second; infinite: all. */
  readonly rate: number;
  /** At once, after a rest. */
  readonly burst: number;
}

/**
 * A token bucket of octets, with a line of those who wait for them.
 *
 * Invariants:
 * - in any time `t` no more than `rate * t + burst` octets pass;
 * - while somebody waits nobody else takes any, and whoever has had a turn goes to the end of the line;
 * - the timer runs exactly while somebody waits.
 */
export class Bandwidth implements Pace {
  private readonly clock: Timers;
  private current: BandwidthRate;
  private tokens: number;
  private at: number;
  private readonly line = new LinkedList<Paced>();
  private readonly links = new Map<Paced, Link<Paced>>();
  private timer: Timer | undefined = undefined;
  /** Octets that have passed, and those of them that had to wait. */
  passed = 0;
  delayed = 0;

  constructor(clock: Timers, rate: BandwidthRate) {
    this.clock = clock;
    this.current = rate;
    this.tokens = rate.burst;
    this.at = clock.now();
  }

  get rate(): BandwidthRate {
    return this.current;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.links.size;
  }

  /** Another rate, from now on. What was used of the one before counts. */
  change(rate: BandwidthRate): void {
    this.fill();
    this.current = rate;
    this.tokens = Math.min(this.tokens, rate.burst);
    this.serve();
  }

  take(wanted: number): number {
    if (this.line.first !== undefined) return 0;
    this.fill();
    if (this.tokens < Math.min(wanted, this.worthwhile)) return 0;
    const taken = Math.min(wanted, Math.floor(this.tokens));
    this.tokens -= taken;
    this.passed += taken;
    return taken;
  }

  giveBack(octets: number): void {
    this.tokens = Math.min(this.current.burst, this.tokens + octets);
    this.passed -= octets;
  }

  wait(paced: Paced): void {
    if (this.links.has(paced)) return;
    this.links.set(paced, this.line.add(paced));
    this.arm();
  }

  leave(paced: Paced): void {
    const link = this.links.get(paced);
    if (link === undefined) return;
    this.links.delete(paced);
    this.line.delete(link);
    if (this.links.size > 0) return;
    this.timer?.cancel();
    this.timer = undefined;
  }

  /** So few octets are worth a turn. */
  private get worthwhile(): number {
    const { rate, burst } = this.current;
    return Math.max(1, Math.min(rate * WORTHWHILE, QUANTUM, burst));
  }

  private fill(): void {
    const now = this.clock.now();
    const { rate, burst } = this.current;
    this.tokens =
      rate === Number.POSITIVE_INFINITY ? rate : Math.min(burst, this.tokens + ((now - this.at) / 1000) * rate);
    this.at = now;
  }

  private serve(): void {
    this.fill();
    while (this.tokens >= this.worthwhile) {
      const { first } = this.line;
      if (first === undefined) break;
      this.links.delete(first.item);
      this.line.delete(first);
      const turn = Math.min(QUANTUM, Math.floor(this.tokens));
      // Before, since what comes of the turn may take as well.
      this.tokens -= turn;
      const sent = first.item.sendPaced(turn);
      this.tokens += turn - sent;
      this.passed += sent;
      this.delayed += sent;
    }
    // Not before: whoever waits again would have it run for the tokens that there were.
    this.timer?.cancel();
    this.timer = undefined;
    this.arm();
  }

  private arm(): void {
    if (this.timer !== undefined || this.line.first === undefined) return;
    const missing = Math.max(0, this.worthwhile - this.tokens);
    const ms = Math.max(1, Math.ceil((missing / this.current.rate) * 1000));
    this.timer = this.clock.setTimer(ms, () => this.serve());
  }
}
