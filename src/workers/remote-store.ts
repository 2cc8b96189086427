import type { Grant, LeaseStore, LeaseTerms } from "../limits/lease-store.ts";
import type { FromWorker } from "./messages.ts";

/** In a worker: the rate limits that the control thread holds for all of them. */
export class RemoteStore implements LeaseStore {
  up = true;
  retryAt = Number.NEGATIVE_INFINITY;
  failures = 0;
  private readonly send: (message: FromWorker) => void;
  private readonly now: () => number;
  private readonly open = new Map<number, (grant: Grant | undefined) => void>();
  private last = 0;

  constructor(send: (message: FromWorker) => void, now: () => number) {
    this.send = send;
    this.now = now;
  }

  lease({ name }: LeaseTerms, key: string, calls: number, done: (grant: Grant | undefined) => void): void {
    const id = ++this.last;
    this.open.set(id, done);
    this.send({ kind: "lease", id, limit: name, key, calls });
  }

  /** undefined: the store behind the control thread does not answer. */
  granted(id: number, grant: Grant | undefined): void {
    const done = this.open.get(id);
    this.open.delete(id);
    this.up = grant !== undefined;
    if (grant === undefined) {
      this.failures++;
      this.retryAt = this.now() + PAUSE;
    }
    done?.(grant);
  }
}

/** Milliseconds after a failure before it is asked again. */
const PAUSE = 250;
