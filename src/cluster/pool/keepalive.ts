import type { Clock, Timer } from "../../core/clock.ts";
import type { Connection } from "../../http2/connection.ts";

/** How often peers are asked whether they are still there. Milliseconds. */
export interface KeepaliveSettings {
  /** Silence after which a sidecar is asked. */
  readonly sidecars: number;
  /** The same of all others. */
  readonly others: number;
  /** Within this much an answer has to come, or anything else: after it the connection is lost. May change at any time. */
  readonly timeout: number;
}

/** Sidecars take PINGs as often as they come; other servers may not. */
export const defaultKeepalive: KeepaliveSettings = {
  sidecars: 10_000,
  // Servers by default take a PING every 5 minutes and end the connection of whoever asks more often (gRFC A8). Their clock
  // starts with the arrival of the last one, which may have been delayed.
  others: 310_000,
  timeout: 10_000,
};

/** A connection, and since when it has been asked: milliseconds of the clock, undefined while no PING is outstanding. */
export interface Watched {
  readonly connection: Connection | undefined;
  askedAt: number | undefined;
}

/** Whose connections are watched. */
export interface KeepaliveHost<T extends Watched> {
  watched(): Iterable<T>;
  /** Nothing has come of the connection since it was asked. */
  silent(member: T): void;
}

/**
 * Finds out which connections lead nowhere: no FIN comes of a machine that lost its power or its network. A connection that
 * has a stream open and of which nothing has come for a while is asked by PING.
 *
 * Invariants: a connection has one PING outstanding at most, and is asked only while it has a stream open, since servers count
 * others against their caller; the timer runs only while a stream is open or a PING outstanding.
 */
export class Keepalive<T extends Watched> {
  private readonly settings: KeepaliveSettings;
  private readonly clock: Clock;
  private readonly host: KeepaliveHost<T>;
  private timer: Timer | undefined = undefined;
  /** What the intervals are multiplied by for a peer that wants to be asked less often. */
  private factor = 1;

  constructor(settings: KeepaliveSettings, clock: Clock, host: KeepaliveHost<T>) {
    this.settings = settings;
    this.clock = clock;
    this.host = host;
  }

  /** A stream is about to be opened. */
  touch(): void {
    this.timer ??= this.clock.setTimer(this.settings.sidecars * this.factor, () => this.look());
  }

  /** The peer complains of too many PINGs: it is asked half as often from now on. True where it is the first time. */
  slowDown(): boolean {
    this.factor *= 2;
    return this.factor === 2;
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private look(): void {
    this.timer = undefined;
    const now = this.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const member of this.host.watched()) next = Math.min(next, this.examine(member, now));
    if (next === Number.POSITIVE_INFINITY) return;
    this.timer ??= this.clock.setTimer(Math.max(1, next - now), () => this.look());
  }

  /** Does what is due for a connection; when to look again, in milliseconds of the clock. */
  private examine(member: T, now: number): number {
    const { connection } = member;
    if (connection === undefined) return Number.POSITIVE_INFINITY;
    const { heardAt } = connection;
    if (member.askedAt !== undefined) {
      // Whatever comes is a sign of life; the answer may be behind a lot of other octets.
      const due = Math.max(heardAt, member.askedAt) + this.settings.timeout;
      if (due > now) return due;
      this.host.silent(member);
      return Number.POSITIVE_INFINITY;
    }
    if (connection.activeStreams === 0) return Number.POSITIVE_INFINITY;
    const { sidecars, others } = this.settings;
    const due = heardAt + (connection.peer.sidecar ? sidecars : others) * this.factor;
    if (due > now) return due;
    member.askedAt = now;
    connection.ping(() => {
      member.askedAt = undefined;
    });
    return now + this.settings.timeout;
  }
}
