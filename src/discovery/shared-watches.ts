import type { Watch } from "../core/watch.ts";
import type { CachedAnswer, Discovered, Subscription } from "./source.ts";

/** The watch of one name, as a source runs it. */
export interface NameWatch {
  readonly state: Watch<Discovered>;
  /** Ends it; resolves when it holds nothing any more. Never rejects. */
  stop(): Promise<void>;
}

/** How many calls there were for a name so far, counted by all who hold it. It may fall when one of them goes. */
export type Demand = () => number;

type Open<W> = (name: string, demand: Demand, before: CachedAnswer | undefined) => W;

interface Shared<W> {
  readonly watch: W;
  readonly holders: Set<Subscription>;
}

/** One watch a name, shared by all who subscribe to it: opened for the first holder, stopped with the last. */
export class SharedWatches<W extends NameWatch> {
  private readonly open: Open<W>;
  private readonly byName = new Map<string, Shared<W>>();
  /** Stops under way of watches that nobody holds any more. */
  private readonly stopping = new Set<Promise<void>>();
  private closed = false;

  constructor(open: Open<W>) {
    this.open = open;
  }

  /** `before` is of use to the first one only. */
  subscribe(name: string, before?: CachedAnswer): Subscription {
    if (this.closed) throw new Error(`subscription to ${name} in a discovery source that is closed`);
    const shared = this.byName.get(name) ?? this.begin(name, before);
    const subscription: Subscription = {
      state: shared.watch.state,
      uses: 0,
      close: () => {
        if (shared.holders.delete(subscription) && shared.holders.size === 0) this.stop(name, shared);
      },
    };
    shared.holders.add(subscription);
    return subscription;
  }

  /** The watches that stand, by name. */
  *watches(): Iterable<[string, W]> {
    for (const [name, { watch }] of this.byName) yield [name, watch];
  }

  /** Stops all of them, held or not. */
  async close(): Promise<void> {
    this.closed = true;
    for (const [name, shared] of this.byName) this.stop(name, shared);
    await Promise.all(this.stopping);
  }

  private begin(name: string, before: CachedAnswer | undefined): Shared<W> {
    const holders = new Set<Subscription>();
    const demand: Demand = () => {
      let uses = 0;
      for (const holder of holders) uses += holder.uses;
      return uses;
    };
    const shared = { watch: this.open(name, demand, before), holders };
    this.byName.set(name, shared);
    return shared;
  }

  private stop(name: string, shared: Shared<W>): void {
    if (this.byName.get(name) !== shared) return;
    this.byName.delete(name);
    const stopping = shared.watch.stop().finally(() => this.stopping.delete(stopping));
    this.stopping.add(stopping);
  }
}
