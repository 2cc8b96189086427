import type { Connection } from "../../http2/connection.ts";

/** Milliseconds for which a connection of a peer that nothing is known of may be idle; limits of servers are above it. */
const UNPROVEN = 250;
/** A peer that has let a connection stand for so long does not end them for being idle. */
const PATIENT = 3_600_000;
/** Limits below this many milliseconds are within what timers and networks vary by: no idle connection is used then. */
const TOO_SHORT = 50;
/** What has ended a connection may have been a crash. It was, where another one outlives it by so much, … */
const OUTLIVED = 4;
/** … and by so many milliseconds. */
const OUTLIVED_LEAST = 1000;

/**
 * How long a connection may have been idle and still be given to a call. A server that ends idle connections with GOAWAY loses
 * no call by it. One that just closes them (§9.1 of RFC 9113 allows it) may do so while a request is on its way, and nothing
 * tells then whether the request was read: not the FIN, for the server may have read and then closed, and no PING before the
 * request, for the FIN can follow its answer as well. So a call has to stay clear of the moment, and for that it must be known.
 *
 * It is found out at no call's risk: the first connection that has been idle for longer than is safe to assume gets no more
 * calls and stays as the lookout. It has been idle for longer than any other, so a server that has let it stand lets the others
 * stand, and when it is ended the limit is known. A margin of a half is left for both. Sidecars always say GOAWAY.
 *
 * Invariants: there is one lookout at most; `limit` is what is known without looking at it.
 */
export class IdleRule {
  /** Milliseconds without an octet up to which no more than this number has to be looked at. */
  limit = UNPROVEN;
  private shortest: number | undefined = undefined;
  private lookout: Connection | undefined = undefined;
  private spared: Connection | undefined = undefined;

  /** Whether `connection`, which has no stream, may be given to a call at `now`. */
  allows(connection: Connection, now: number): boolean {
    if (connection.peer.sidecar || connection === this.spared) return true;
    this.learnFromLookout(now);
    return now - connection.heardAt <= this.limit;
  }

  /** Makes `connection`, which calls do not use any more, the lookout. False where there is one. */
  post(connection: Connection): boolean {
    // Some servers count from the first call on.
    if (this.lookout !== undefined || connection.draining || !connection.used) return false;
    this.lookout = connection;
    return true;
  }

  /** The lookout, to be used as it is: nothing better is to be had. */
  relieve(): Connection | undefined {
    const { lookout } = this;
    if (lookout === undefined || lookout.available === 0) return undefined;
    this.lookout = undefined;
    this.spared = lookout;
    return lookout;
  }

  /** The lookout, where this peer has never ended an idle connection. */
  get unblamed(): Connection | undefined {
    return this.shortest === undefined && this.lookout?.canOpen === true ? this.lookout : undefined;
  }

  /**
   * `connection` is gone. `idle`: milliseconds for which it had been idle, where the peer ended it without a word. True where
   * this is the first time.
   */
  ended(connection: Connection, idle: number | undefined): boolean {
    if (connection === this.lookout) this.lookout = undefined;
    if (connection === this.spared) this.spared = undefined;
    if (idle === undefined || connection.peer.sidecar) return false;
    const first = this.shortest === undefined;
    this.shortest = Math.min(this.shortest ?? idle, idle);
    this.limit = this.shortest / 2 < TOO_SHORT ? 0 : this.shortest / 2;
    return first;
  }

  /** Nobody answers at the address: what ended a connection was the end of the server, and what comes may be another. */
  forget(): void {
    this.shortest = undefined;
    this.limit = UNPROVEN;
  }

  private learnFromLookout(now: number): void {
    if (this.lookout === undefined) return;
    const idle = now - this.lookout.heardAt;
    if (this.shortest !== undefined) {
      if (idle < Math.max(OUTLIVED_LEAST, this.shortest * OUTLIVED)) return;
      this.shortest = undefined;
    }
    this.limit = idle >= PATIENT ? Number.POSITIVE_INFINITY : Math.max(UNPROVEN, idle / 2);
  }
}
