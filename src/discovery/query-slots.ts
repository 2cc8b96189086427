/** Gives the slot back. Idempotent. */
export type Release = () => void;

type Grant = (release: Release) => void;

/**
 * A bounded number of blocking queries at once. Names share the slots in turn: who has had one goes to the end of
 * the queue, and those who have no answer yet go before those who only want to know what changed.
 */
export class QuerySlots {
  private free: number;
  private readonly first: Grant[] = [];
  private readonly later: Grant[] = [];

  /** Consul allows 200 connections a client address by default; 64 leave room for others on the machine. */
  constructor(size = 64) {
    this.free = size;
  }

  /** How many queue for a slot. */
  get waiting(): number {
    return this.first.length + this.later.length;
  }

  /** Resolves with the slot, or with undefined when `signal` fires first. */
  acquire(urgent: boolean, signal: AbortSignal): Promise<Release | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve(this.slot());
    }
    return new Promise((resolve) => {
      const queue = urgent ? this.first : this.later;
      const abort = () => {
        queue.splice(queue.indexOf(grant), 1);
        resolve(undefined);
      };
      const grant: Grant = (release) => {
        signal.removeEventListener("abort", abort);
        resolve(release);
      };
      queue.push(grant);
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  private slot(): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.first.shift() ?? this.later.shift();
      if (next === undefined) this.free += 1;
      else next(this.slot());
    };
  }
}
