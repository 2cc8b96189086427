import type { Clock } from "../core/clock.ts";
import type { Watch } from "../core/watch.ts";

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

/** Something of an upstream that has to be known. */
export interface Needed {
  /** The upstream's. */
  readonly name: string;
  readonly known: boolean;
  noneReason(): { readonly detail: string };
}

/** It says when it is known, too. */
export type Expected = Needed & { whenKnown(callback: () => void): () => void };

/**
 * Resolves once all that is needed is known. It is asked again after each answer, and when another configuration is applied: what
 * Consul says of how an upstream is routed may name others that have to be known, and a reload may take away what was waited for.
 */
export async function allKnown(
  needed: () => Iterable<Expected>,
  applied: Pick<Watch<number>, "onChange">,
): Promise<void> {
  for (;;) {
    const unknown = [...needed()].find(({ known }) => !known);
    if (unknown === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stops = [applied.onChange(() => resolve()), unknown.whenKnown(resolve)];
    await promise;
    for (const stop of stops) stop();
  }
}

/**
 * Whether the sidecar may get calls, and if not, why: listeners, and the first answer for every upstream that it was started
 * with, unless that is optional.
 */
export class Readiness {
  private readonly clock: Clock;
  private readonly startedAt: string;
  private bound = false;
  private draining: string | undefined = undefined;
  private wasReady = false;

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

  /** `details`: what is wrong although calls are taken; `missing`: what else is waited for. */
  state(required: Iterable<Needed>, further: readonly string[], missing: readonly Waiting[] = []): ReadyState {
    const waiting: Waiting[] = [];
    if (this.draining !== undefined)
      waiting.push({ what: "drain", since: this.draining, detail: "the sidecar is shutting down" });
    if (!this.bound)
      waiting.push({ what: "listeners", since: this.startedAt, detail: "not every listener is bound yet" });
    waiting.push(...missing);
    const details = [...further];
    for (const needed of required) {
      if (needed.known) continue;
      const why = needed.noneReason().detail;
      // An upstream that a reload has added does not keep calls from those that are there.
      if (this.wasReady) details.push(why);
      else waiting.push({ what: `upstream ${needed.name}`, since: this.startedAt, detail: why });
    }
    if (waiting.length > 0) return { ready: false, waiting };
    this.wasReady = true;
    return details.length === 0 ? { ready: true } : { ready: true, detail: details.join("; ") };
  }

  private timestamp(): string {
    return new Date(this.clock.wall()).toISOString();
  }
}
