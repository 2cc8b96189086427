import type { Reason } from "../../http/reason.ts";
import type { Connection } from "../../http2/connection.ts";

/**
 * A call that waits for a connection `C`. Told once, never before `wait` has returned, and not after it gave up.
 */
export interface Waiter<C = Connection> {
  /** There is room on `connection` until this returns: the stream has to be opened here or the room may be gone. */
  onConnection(connection: C): void;
  onFailed(reason: Reason, message: string): void;
}

/** Calls in the order in which they came. */
export class WaitingLine<C = Connection> {
  private readonly places = new Set<{ readonly waiter: Waiter<C> }>();

  get length(): number {
    return this.places.size;
  }

  /** Takes a place at the end; returns what gives it up. */
  join(waiter: Waiter<C>): () => void {
    const place = { waiter };
    this.places.add(place);
    return () => this.places.delete(place);
  }

  /** Takes the first one out of the line. */
  shift(): Waiter<C> | undefined {
    for (const place of this.places) {
      this.places.delete(place);
      return place.waiter;
    }
    return undefined;
  }

  /** Sends everybody away. Whoever joins meanwhile stays. */
  fail(reason: Reason, message: string): void {
    for (const place of [...this.places]) if (this.places.delete(place)) place.waiter.onFailed(reason, message);
  }
}
