import type { Clock, Timer } from "../core/clock.ts";
import type { ErrorCode } from "./errors.ts";
import type { CancelPace } from "./limits.ts";
import type { Stream } from "./stream.ts";

/** What is asked of the connection whose streams are cancelled. */
export interface CancelsHost {
  /** The peer is a sidecar as we are. */
  readonly sidecar: boolean;
  /** New streams are better opened on another connection. Called once. */
  onWorn(): void;
}

/**
 * Cancels streams of a client's connection at a pace that no server takes for an attack.
 *
 * Servers count resets against rapid reset (CVE-2023-44487) and end the connection of whoever sends too many: Node's at 1,000
 * and 33 a second, Envoy's once half of the streams were reset young and unanswered. A sidecar passes on the cancels of callers
 * who may all be legitimate, over a connection that they share. So a cancel is a reset at once within that pace. Beyond it the
 * stream waits: it may end by itself, its turn comes as the budget fills, or the connection ends. Before it gets that far the
 * connection is worn: the pool takes another one for new streams, and a worn connection on which all that is left waits for its
 * reset is closed, which cancels everything without a single one.
 *
 * Invariants: `waiting` holds streams that are open and cancelled, in the order of their cancels; a timer runs only while it
 * is not empty.
 */
export class Cancels {
  private readonly pace: CancelPace;
  private readonly clock: Clock;
  private readonly host: CancelsHost;
  private readonly waiting = new Map<Stream, ErrorCode>();
  private timer: Timer | undefined = undefined;
  private worn = false;
  /** Resets that the budget has not made up for yet, as of `at`. */
  private spent = 0;
  private at = 0;
  private young = 0;
  private ended = 0;

  constructor(pace: CancelPace, clock: Clock, host: CancelsHost) {
    this.pace = pace;
    this.clock = clock;
    this.host = host;
  }

  /** Streams that wait for their reset. */
  get size(): number {
    return this.waiting.size;
  }

  /** Resets `stream`, now or later. It has been told to drop what still comes. `now`: milliseconds of the clock. */
  cancel(stream: Stream, code: ErrorCode, now: number): void {
    if (this.delay(stream, now) === 0) stream.reset(code);
    else this.waiting.set(stream, code);
    this.schedule();
    if (this.worn || (this.waiting.size < this.pace.maxWaiting && this.spent < this.burst * WORN)) return;
    this.worn = true;
    this.host.onWorn();
  }

  /** A reset goes out, whoever asked for it. */
  count(stream: Stream, now: number): void {
    this.refill(now);
    this.spent++;
    if (this.isYoung(stream, now)) this.young++;
  }

  /** A stream has ended. */
  forget(stream: Stream): void {
    this.ended++;
    if (this.waiting.delete(stream) && this.waiting.size === 0) this.stop();
  }

  /** Nothing is reset any more: the connection ends. */
  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private get burst(): number {
    return this.host.sidecar ? this.pace.sidecarBurst : this.pace.burst;
  }

  private get rate(): number {
    return this.host.sidecar ? this.pace.sidecarRate : this.pace.rate;
  }

  /** Milliseconds until a stream may be reset, as far as can be said now; 0 where it may at once. */
  private delay(stream: Stream, now: number): number {
    this.refill(now);
    const tokens = this.burst - this.spent;
    const untilToken = tokens >= 1 ? 0 : ((1 - tokens) / this.rate) * 1000;
    const { youngAge, youngShare, youngBase } = this.pace;
    const crowd = this.young + 1 > youngShare * Math.max(youngBase, this.ended);
    const untilOld = crowd && !this.host.sidecar && this.isYoung(stream, now) ? stream.openedAt + youngAge - now : 0;
    return Math.max(untilToken, untilOld);
  }

  private isYoung(stream: Stream, now: number): boolean {
    return !stream.headSeen && now - stream.openedAt < this.pace.youngAge;
  }

  private refill(now: number): void {
    this.spent = Math.max(0, this.spent - ((now - this.at) / 1000) * this.rate);
    this.at = now;
  }

  private schedule(): void {
    const [first] = this.waiting.keys();
    if (first === undefined || this.timer !== undefined) return;
    this.timer = this.clock.setTimer(Math.max(1, Math.ceil(this.delay(first, this.clock.now()))), () => {
      this.timer = undefined;
      this.run();
    });
  }

  private run(): void {
    const now = this.clock.now();
    for (const [stream, code] of this.waiting) if (this.delay(stream, now) === 0) stream.reset(code);
    this.schedule();
  }
}

/** Share of the budget that has to be spent for a connection to count as worn: the rest is for streams that it still carries. */
const WORN = 0.8;
