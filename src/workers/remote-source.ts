import { Watch } from "../core/watch.ts";
import type { Discovered, DiscoverySource, Subscription } from "../discovery/source.ts";
import type { FromWorker } from "./messages.ts";

/** In a worker: the discovery sources of the control thread. */
export class RemoteSources {
  private readonly send: (message: FromWorker) => void;
  private readonly states = new Map<number, Watch<Discovered>>();
  private last = 0;

  constructor(send: (message: FromWorker) => void) {
    this.send = send;
  }

  of(kind: DiscoverySource["kind"]): DiscoverySource {
    return { kind, subscribe: (name) => this.subscribe(kind, name), close: () => Promise.resolve() };
  }

  /** The control thread has news of a subscription. */
  discovered(subscription: number, state: Discovered): void {
    this.states.get(subscription)?.set(state);
  }

  private subscribe(source: DiscoverySource["kind"], name: string): Subscription {
    const subscription = ++this.last;
    const state = new Watch<Discovered>({ kind: "pending", error: undefined });
    this.states.set(subscription, state);
    this.send({ kind: "subscribe", subscription, source, name });
    return {
      state,
      uses: 0,
      close: () => {
        if (this.states.delete(subscription)) this.send({ kind: "unsubscribe", subscription });
      },
    };
  }
}
