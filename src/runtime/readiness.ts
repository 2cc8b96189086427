import type { Cluster } from "../cluster/cluster.ts";
import type { Clock } from "../core/clock.ts";

/** What the sidecar still waits for. `since` is a date of ISO 8601. */
export interface Waiting {
  readonly what: string;
  readonly since: string;
  readonly detail: string;
}

/** `detail`: what is wrong although calls are taken. */
export type ReadyState =
  | { readonly ready: true; readonly detail?: string }
  | { readonly ready: false; readonly waiting: readonly Waiting[] };

/** Whether the sidecar may get calls, and if not, why: listeners, and the first answer for every declared upstream. */
export class Readiness {
  private readonly clock: Clock;
  private readonly startedAt: string;
  private bound = false;
  private draining: string | undefined = undefined;

  constructor(clock: Clock) {
    this.clock = clock;
    this.startedAt = this.timestamp();
  }

  listenersBound(): void {
    this.bound = true;
  }

  drainBegan(): void {
    this.draining ??= this.timestamp();
  }

  state(required: Iterable<Cluster>, detail: string | undefined): ReadyState {
    const waiting: Waiting[] = [];
    if (this.draining !== undefined)
      waiting.push({ what: "drain", since: this.draining, detail: "the sidecar is shutting down" });
    if (!this.bound)
      waiting.push({ what: "listeners", since: this.startedAt, detail: "not every listener is bound yet" });
    for (const cluster of required) {
      if (!cluster.known)
        waiting.push({ what: `upstream ${cluster.name}`, since: this.startedAt, detail: cluster.noneReason().detail });
    }
    if (waiting.length > 0) return { ready: false, waiting };
    return detail === undefined ? { ready: true } : { ready: true, detail };
  }

  private timestamp(): string {
    return new Date(this.clock.wall()).toISOString();
  }
}
