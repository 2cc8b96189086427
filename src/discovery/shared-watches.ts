import type { Watch } from "../core/watch.ts";
import type { Discovered, Subscription } from "./source.ts";

/** The watch of one name, as a source runs it. */
export interface NameWatch {
  readonly state: Watch<Discovered>;
  /** Ends it; resolves when it holds nothing any more. Never rejects. */
  stop(): Promise<void>;
}

interface Shared<W> {
  readonly watch: W;
  holders: number;
}

/** One watch a name, shared by all who subscribe to it: opened for the first holder, stopped with the last. */
export class SharedWatches<W extends NameWatch> {
  private readonly open: (name: string) => W;
  private readonly byName = new Map<string, Shared<W>>();
  /** Stops under way of watches that nobody holds any more. */
  private readonly stopping = new Set<Promise<void>>();
  private closed = false;

  constructor(open: (name: string) => W) {
    this.open = open;
  }

  subscribe(name: string): Subscription {
    if (this.closed) throw new Error(`subscription to ${name} in a discovery source that is closed`);
    const shared = this.byName.get(name) ?? { watch: this.open(name), holders: 0 };
    this.byName.set(name, shared);
    shared.holders += 1;
    let held = true;
    return {
      state: shared.watch.state,
      close: () => {
        if (!held) return;
        held = false;
        shared.holders -= 1;
        if (shared.holders === 0) this.stop(name, shared);
      },
    };
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

  private stop(name: string, shared: Shared<W>): void {
    if (this.byName.get(name) !== shared) return;
    this.byName.delete(name);
    const stopping = shared.watch.stop().finally(() => this.stopping.delete(stopping));
    this.stopping.add(stopping);
  }
}
