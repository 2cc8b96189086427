import { FairQueue, type Sharer } from "../../core/fair-queue.ts";
import { ourselves } from "../../http/callers.ts";
import type { Reason } from "../../http/reason.ts";
import type { Connection } from "../../http2/connection.ts";

/**
 * A call that waits for a connection `C`. Told once, never before `wait` has returned, and not after it gave up.
 */
export interface Waiter<C = Connection> {
  /** Whose call it is; undefined: our own. */
  readonly caller?: Sharer;
  /** There is room on `connection` until this returns: the stream has to be opened here or the room may be gone. */
  onConnection(connection: C): void;
  onFailed(reason: Reason, message: string): void;
}

/** Calls that wait for connections: first those of callers that have the fewest under way. */
export class WaitingLine<C = Connection> {
  private readonly queue = new FairQueue<Waiter<C>>();

  get length(): number {
    return this.queue.size;
  }

  /** Takes a place; returns what gives it up. */
  join(waiter: Waiter<C>): () => void {
    const queued = this.queue.add(waiter, waiter.caller ?? ourselves);
    return () => this.queue.delete(queued);
  }

  /** Takes the one whose turn it is out of the line. */
  shift(): Waiter<C> | undefined {
    return this.queue.shift();
  }

  /** Sends everybody away. Whoever joins meanwhile stays. */
  fail(reason: Reason, message: string): void {
    for (const queued of this.queue.entries())
      if (this.queue.delete(queued)) queued.link.item.onFailed(reason, message);
  }
}
