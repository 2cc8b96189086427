import type { Timer, Timers } from "../core/clock.ts";
import { type Placed, Roster } from "../core/roster.ts";

/** For how long a connection is used. Milliseconds; undefined: for as long as they like. */
export interface ConnectionTerms {
  /** After this long its caller is asked to go. */
  readonly maxAge: number | undefined;
  /** The calls that are under way then have so long. */
  readonly grace: number | undefined;
  /** After so many calls its caller is asked to go. */
  readonly maxRequests: number | undefined;
  /** Without a call for this long, or up to a quarter longer, its caller is asked to go. */
  readonly idleTimeout: number | undefined;
}

/** Why a caller is asked to go. */
export type LifeEnd = "maxAge" | "maxRequests" | "idleTimeout";

/** A connection that does not live for ever. Of one of our own we are the caller. */
export interface Mortal {
  /** Calls under way. undefined: its idleness is somebody else's matter. */
  readonly active: number | undefined;
  /** Asks the caller to go, without losing a call. */
  leave(why: string): void;
  /** Ends the calls that are left, and the connection. */
  end(why: string): void;
}

/** Calls that a connection of HTTP/2 can carry: there are no more identifiers of streams (RFC 9113 §5.1.1). */
const ALL_CALLS = 2 ** 30;

/** Looks at a connection within its idle timeout. */
const LOOKS = 4;

/** By up to so much earlier or later, so that callers that came together do not come again together (gRFC A9). */
const JITTER = 0.1;

/** An age of about `maxAge`. `chance`: uniform in [0, 1). */
export function jittered(maxAge: number, chance: number): number {
  return maxAge * (1 + JITTER * (2 * chance - 1));
}

/** Connections that share their terms: those of the callers of one direction, or of our own those to one upstream. */
export class ConnectionLives {
  readonly timers: Timers;
  readonly random: () => number;
  terms: ConnectionTerms;
  /** Callers that were asked to go. */
  readonly asked: Record<LifeEnd, number> = { maxAge: 0, maxRequests: 0, idleTimeout: 0 };
  readonly lasting = new Roster<ConnectionLife>();

  constructor(terms: ConnectionTerms, timers: Timers, random: () => number) {
    this.terms = terms;
    this.timers = timers;
    this.random = random;
  }

  begin(mortal: Mortal): ConnectionLife {
    const life = new ConnectionLife(mortal, this);
    this.lasting.add(life);
    return life;
  }

  /**
   * Puts other terms in force, for connections that are open as well: their age and their calls count from their beginning. The same ones
   * change nothing: who is idle stays so.
   */
  renew(terms: ConnectionTerms): void {
    const { maxAge, maxRequests, idleTimeout } = this.terms;
    const isSame = terms.maxAge === maxAge && terms.maxRequests === maxRequests && terms.idleTimeout === idleTimeout;
    this.terms = terms;
    // A grace is looked at once it begins.
    if (isSame) return;
    for (const life of this.lasting.values()) life.renew();
  }
}

/**
 * The end of one connection in time: its age, its idleness, and the grace of its last calls.
 *
 * Invariant: once the caller has been asked to go only the grace is waited for.
 */
export class ConnectionLife implements Placed {
  place = -1;
  private readonly mortal: Mortal;
  private readonly lives: ConnectionLives;
  private readonly since: number;
  /** Where around `maxAge` it is too old, as `jittered` takes it: a reload does not throw the dice again. */
  private chance: number | undefined = undefined;
  private calls = 0;
  private mostCalls = ALL_CALLS;
  /** Milliseconds of the clock when it is too old. */
  private until: number | undefined = undefined;
  private age: Timer | undefined = undefined;
  private idle: Timer | undefined = undefined;

  constructor(mortal: Mortal, lives: ConnectionLives) {
    this.mortal = mortal;
    this.lives = lives;
    this.since = lives.timers.now();
    this.arm();
  }

  /** Milliseconds until it is too old; undefined where it does not grow too old, or its caller has been asked to go. */
  get left(): number | undefined {
    return this.until === undefined ? undefined : Math.max(0, this.until - this.lives.timers.now());
  }

  /** Its caller has been asked to go. */
  get isAsked(): boolean {
    return this.mostCalls === Number.POSITIVE_INFINITY;
  }

  /** A call has come. */
  count(): void {
    this.reach(this.calls + 1);
  }

  /** So many calls have come in all. */
  reach(calls: number): void {
    this.calls = calls;
    if (calls >= this.mostCalls)
      this.ask("maxRequests", `the connection has carried ${this.mostCalls} calls (maxRequests)`);
  }

  /** Its terms have changed. */
  renew(): void {
    this.disarm();
    this.arm();
  }

  /** The connection is gone. */
  stop(): void {
    this.lives.lasting.delete(this);
    this.disarm();
  }

  private arm(): void {
    const { timers, random, terms } = this.lives;
    const { maxAge, maxRequests, idleTimeout } = terms;
    // One that has carried more than it may is asked to go with its next call.
    this.mostCalls = maxRequests ?? ALL_CALLS;
    if (maxAge !== undefined) {
      this.chance ??= random();
      const due = this.since + jittered(maxAge, this.chance);
      const now = timers.now();
      // Many may have become too old at once: they are not to come again together either.
      this.until = due > now ? due : now + maxAge * JITTER * this.chance;
      this.age = timers.setTimer(this.left ?? 0, () =>
        this.ask("maxAge", `the connection has been open for about ${maxAge} ms (maxAge)`),
      );
    }
    if (idleTimeout !== undefined && this.mortal.active !== undefined) this.watchIdle(idleTimeout, this.calls, 0);
  }

  private disarm(): void {
    this.until = undefined;
    this.age?.cancel();
    this.idle?.cancel();
  }

  /** Looks again and again. `quiet`: looks in a row at which nothing had come since one that had found it idle, with so many `calls` carried. */
  private watchIdle(timeout: number, calls: number, quiet: number): void {
    this.idle = this.lives.timers.setTimer(timeout / LOOKS, () => {
      const isBusy = this.mortal.active !== 0;
      const looks = isBusy ? -1 : this.calls === calls ? quiet + 1 : 0;
      if (looks === LOOKS) this.ask("idleTimeout", `the connection has had no call for ${timeout} ms (idleTimeout)`);
      else this.watchIdle(timeout, this.calls, looks);
    });
  }

  private ask(end: LifeEnd, why: string): void {
    const { timers, terms, asked } = this.lives;
    this.stop();
    this.mostCalls = Number.POSITIVE_INFINITY;
    const { grace } = terms;
    if (grace !== undefined) {
      const late = `${why}, and its calls had ${grace} ms to end`;
      this.age = timers.setTimer(grace, () => this.mortal.end(late));
    }
    asked[end]++;
    this.mortal.leave(why);
  }
}
