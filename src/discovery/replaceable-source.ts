import { Watch } from "../core/watch.ts";
import type { CachedAnswer, Discovered, DiscoverySource, Subscription } from "./source.ts";

interface Held {
  readonly name: string;
  readonly state: Watch<Discovered>;
  inner: Subscription;
  stop: () => void;
}

/**
 * A source whose inside can be replaced by one with other settings (another token, another agent) while subscriptions stand:
 * what was known stays known until the new one has its own first answer.
 */
export class ReplaceableSource implements DiscoverySource {
  readonly kind: DiscoverySource["kind"];
  private current: DiscoverySource;
  private readonly held = new Set<Held>();

  constructor(source: DiscoverySource) {
    this.kind = source.kind;
    this.current = source;
  }

  subscribe(name: string, before?: CachedAnswer): Subscription {
    const inner = this.current.subscribe(name, before);
    const held: Held = { name, state: new Watch(inner.state.current), inner, stop: () => {} };
    this.held.add(held);
    this.follow(held);
    return {
      state: held.state,
      get uses() {
        return held.inner.uses;
      },
      set uses(count: number) {
        held.inner.uses = count;
      },
      close: () => {
        if (!this.held.delete(held)) return;
        held.stop();
        held.inner.close();
      },
    };
  }

  /** Takes another source of the same kind; resolves when the old one is closed. */
  async replace(source: DiscoverySource): Promise<void> {
    const old = this.current;
    this.current = source;
    for (const held of this.held) {
      held.stop();
      held.inner.close();
      const { current: known } = held.state;
      held.inner = source.subscribe(held.name, known.kind === "known" ? known : undefined);
      this.follow(held);
    }
    await old.close();
  }

  async close(): Promise<void> {
    for (const held of this.held) held.stop();
    this.held.clear();
    await this.current.close();
  }

  private follow(held: Held): void {
    const take = (state: Discovered): void => {
      if (state.kind === "known" || held.state.current.kind === "pending") held.state.set(state);
    };
    held.stop = held.inner.state.onChange(take);
    if (held.inner.state.current !== held.state.current) take(held.inner.state.current);
  }
}
