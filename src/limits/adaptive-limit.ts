import { LatencyWindow } from "./latency-window.ts";

/** Bounds of what is learned, in calls at once. */
export interface AdaptiveOptions {
  /** Calls at once before anything is known. */
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

/** Milliseconds after which a window of calls is looked at, if it has enough of them. */
const WINDOW = 100;
const ENOUGH = 10;
/** Milliseconds from the start to the first probe under full load, and between two at most: each time twice as many. */
const FIRST_PROBE = 2000;
const PROBE = 60_000;
/** While it is probed, this part of the limit is in force. */
const PROBED = 0.5;
/** A latency so much above the lowest is no queue yet: timers, schedulers and collectors take their time, too. */
const TOLERANCE = 1.25;
/** How fast the lowest latency follows a service that has become slower for good, a window. */
const DRIFT = 0.05;
/** This share of calls at their deadline is too many, whatever the latency says. */
const TOO_LATE = 0.1;
const BACK_OFF = 0.9;

/**
 * `starting`: doubles until a queue is seen. `emptying`: half of the limit is in force, and the queue of before still has to go.
 * `probing`: looks what the latency is without it.
 */
type Phase = "starting" | "steady" | "emptying" | "probing";

/**
 * How many calls a service can do at once, learned from how long they take, as TCP Vegas does it: by Little's law a service
 * that holds `busiest` calls and takes `latency` where it once took `lowest` does `busiest * lowest / latency` of them and lets
 * the others wait. The limit is such that a few wait, so that the service is never idle and a call hardly waits.
 *
 * `lowest` has to be without a queue: it is what is seen while no more than half of the limit is in use, and under full load
 * it is looked for now and then with half of the limit for a window.
 */
export class AdaptiveLimit {
  options: AdaptiveOptions;
  /** Calls under way. */
  inFlight = 0;
  refused = 0;
  private learned: number;
  private phase: Phase = "starting";
  private lowestSeen: number | undefined = undefined;
  private latencySeen: number | undefined = undefined;
  private readonly window: LatencyWindow;
  private probeAt: number | undefined = undefined;
  private probeAfter = FIRST_PROBE;

  constructor(options: AdaptiveOptions, random: () => number) {
    this.options = options;
    this.learned = options.initial;
    this.window = new LatencyWindow(random);
  }

  /** Calls that may be under way now. */
  get limit(): number {
    const { min, max } = this.options;
    const now = this.isProbing ? this.learned * PROBED : this.learned;
    return Math.max(min, Math.min(max, Math.floor(now)));
  }

  /** The latency without a queue, and that of the last window, in milliseconds; undefined before the first. */
  get lowest(): number | undefined {
    return this.lowestSeen;
  }

  get latency(): number | undefined {
    return this.latencySeen;
  }

  /** What the limit is and why. */
  explain(): string {
    if (this.lowestSeen === undefined || this.latencySeen === undefined)
      return `limit ${this.limit}: no latency is known yet`;
    const probing = this.isProbing ? ", looking for the lowest" : "";
    return `limit ${this.limit}: lowest latency ${rounded(this.lowestSeen)} ms, now ${rounded(this.latencySeen)} ms${probing}`;
  }

  enter(): void {
    this.inFlight++;
    if (this.inFlight > this.window.busiest) this.window.busiest = this.inFlight;
  }

  /** A call that was under way is over. `latency`: undefined where it says nothing of the service. */
  leave(now: number, latency: number | undefined, late: boolean): void {
    this.inFlight--;
    if (latency === undefined) return;
    const { window } = this;
    if (window.count === 0) {
      const { busiest } = window;
      window.begin(now);
      window.busiest = Math.max(busiest, this.inFlight + 1);
    }
    window.add(latency);
    if (late) window.late++;
    if (now - window.began >= WINDOW && window.count >= ENOUGH) this.look(now);
  }

  private get isProbing(): boolean {
    return this.phase === "emptying" || this.phase === "probing";
  }

  private look(now: number): void {
    const { window } = this;
    const latency = window.latency();
    this.latencySeen = latency;
    this.probeAt ??= now + this.probeAfter;
    if (this.phase === "emptying") this.phase = "probing";
    else {
      this.learnLowest(latency, now);
      this.adjust(latency, now);
    }
    const { inFlight } = this;
    window.begin(now);
    window.busiest = inFlight;
  }

  private learnLowest(latency: number, now: number): void {
    const lowest = this.lowestSeen ?? latency;
    const rested = this.window.busiest <= this.learned * PROBED;
    if (this.phase === "probing") {
      this.lowestSeen = latency;
      this.phase = "steady";
      this.probeAfter = Math.min(PROBE, this.probeAfter * 2);
      this.probeAt = now + this.probeAfter;
    } else if (latency < lowest) this.lowestSeen = latency;
    else this.lowestSeen = rested ? lowest + (latency - lowest) * DRIFT : lowest;
    // Whoever rests needs no probe: what is seen is without a queue.
    if (rested) this.probeAt = now + this.probeAfter;
  }

  private adjust(latency: number, now: number): void {
    const { window, options } = this;
    const lowest = this.lowestSeen ?? latency;
    const busy = Math.min(window.busiest, this.learned);
    const queue = busy * Math.max(0, 1 - (TOLERANCE * lowest) / latency);
    // Vegas' bounds of what may wait: a few calls, and of many a few more.
    const few = 3 * Math.max(1, Math.log10(this.learned));
    const many = 2 * few;
    if (window.late > window.count * TOO_LATE) this.learned *= BACK_OFF;
    else if (queue > many) {
      this.phase = "steady";
      this.learned += (busy - queue + (few + many) / 2 - this.learned) / 2;
    } else if (queue < few && window.busiest >= this.learned * PROBED)
      this.learned += this.phase === "starting" ? this.learned : Math.max(1, Math.log10(this.learned));
    this.learned = Math.max(options.min, Math.min(options.max, this.learned));
    if (this.probeAt !== undefined && now >= this.probeAt) this.phase = "emptying";
  }
}

function rounded(ms: number): string {
  return ms < 10 ? ms.toFixed(1).replace(/\.0$/, "") : ms.toFixed(0);
}
