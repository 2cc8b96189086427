import type { SourceKind } from "../config/types.ts";
import type { Discovered, DiscoverySource, Subscription } from "../discovery/source.ts";

interface Served {
  readonly source: SourceKind;
  readonly name: string;
  /** undefined: the source is not configured yet. */
  inner: Subscription | undefined;
  stop: () => void;
}

/** In the control thread: what one worker has subscribed to. */
export class SourceServer {
  private readonly find: (kind: SourceKind) => DiscoverySource | undefined;
  private readonly tell: (subscription: number, state: Discovered) => void;
  private readonly served = new Map<number, Served>();

  constructor(
    find: (kind: SourceKind) => DiscoverySource | undefined,
    tell: (subscription: number, state: Discovered) => void,
  ) {
    this.find = find;
    this.tell = tell;
  }

  subscribe(subscription: number, source: SourceKind, name: string): void {
    const served: Served = { source, name, inner: undefined, stop: () => {} };
    this.served.set(subscription, served);
    this.follow(subscription, served);
  }

  unsubscribe(subscription: number): void {
    const served = this.served.get(subscription);
    this.served.delete(subscription);
    served?.stop();
    served?.inner?.close();
  }

  /** Another configuration is in force: a source may be there now that was not. A worker hears of it first. */
  retry(): void {
    for (const [subscription, served] of this.served) if (served.inner === undefined) this.follow(subscription, served);
  }

  close(): void {
    for (const subscription of [...this.served.keys()]) this.unsubscribe(subscription);
  }

  private follow(subscription: number, served: Served): void {
    const inner = this.find(served.source)?.subscribe(served.name);
    if (inner === undefined) return;
    served.inner = inner;
    served.stop = inner.state.onChange((state) => this.tell(subscription, state));
    this.tell(subscription, inner.state.current);
  }
}
