import type { Flushable, FlushLoop } from "./flush-loop.ts";
import { defaultSharedLimits } from "./limits.ts";

/** A caller's connection, as far as it makes us keep octets that somebody does not read. */
export interface Holder {
  /** Octets of answers that it does not take, in streams and in its socket, and of its requests that nobody takes. */
  readonly unread: number;
  /** Ends it. */
  giveUp(): void;
}

/** What the one is told that goes. */
export const LEAVES_MOST = "of all callers this one leaves the most octets unread";

/**
 * What all connections of a process together keep for readers that do not take it. A window bounds a stream, a stream limit a
 * connection's streams, and `maxBacklog` its socket; nothing bounds the connections but this: over the limit, the caller that makes
 * us keep most of it goes.
 */
export class Unread implements Flushable {
  private readonly loop: FlushLoop;
  private readonly most: number;
  private readonly holders = new Set<Holder>();
  /** Octets that are kept. */
  octets = 0;
  /** Callers that had to go for it. */
  ended = 0;
  private marked = false;

  constructor(loop: FlushLoop, most = defaultSharedLimits.unread) {
    this.loop = loop;
    this.most = most;
  }

  /** A caller's connection has come. */
  add(holder: Holder): void {
    this.holders.add(holder);
  }

  delete(holder: Holder): void {
    this.holders.delete(holder);
  }

  /** So many octets more are kept, or fewer. */
  change(octets: number): void {
    this.octets += octets;
    if (octets <= 0 || this.octets <= this.most || this.marked) return;
    // Whoever keeps them is in the middle of something.
    this.marked = true;
    this.loop.mark(this);
  }

  flush(): void {
    this.marked = false;
    while (this.octets > this.most) {
      let largest: Holder | undefined;
      for (const holder of this.holders) if (holder.unread > (largest?.unread ?? 0)) largest = holder;
      // Nothing of it is any caller's.
      if (largest === undefined) return;
      this.holders.delete(largest);
      this.ended++;
      largest.giveUp();
    }
  }
}

/** What one caller's connection makes us keep. */
export class Burden implements Holder {
  private readonly all: Unread;
  private readonly requests: { readonly unread: number };
  private readonly isCaller: boolean;
  readonly giveUp: () => void;
  /** Octets of answers in streams, and of anything in the socket. */
  private answers = 0;
  private held = 0;
  private isOver = false;

  /** `requests`: what it has sent; `giveUp` ends the connection. A server's is counted, and nobody's fault. */
  constructor(all: Unread, requests: { readonly unread: number }, isCaller: boolean, giveUp: () => void) {
    this.all = all;
    this.requests = requests;
    this.isCaller = isCaller;
    this.giveUp = giveUp;
    if (isCaller) all.add(this);
  }

  get unread(): number {
    return this.answers + this.held + this.requests.unread;
  }

  /** So many octets more wait in streams of the connection for room, or fewer. */
  keep(octets: number): void {
    this.answers += octets;
    this.all.change(octets);
  }

  /** So many octets more wait in the caller's socket, or fewer. Those in a server's socket are few calls' doing, and bounded by itself. */
  hold(octets: number): void {
    if (!this.isCaller || this.isOver) return;
    this.held += octets;
    this.all.change(octets);
  }

  /** The connection is over: what is in its socket leaves within a second, or with it. */
  stop(): void {
    if (!this.isCaller) return;
    this.isOver = true;
    this.all.delete(this);
    this.all.change(-this.held);
    this.held = 0;
  }
}
