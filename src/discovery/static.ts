import { type Address, formatAddress } from "../core/address.ts";
import { NameBook } from "./name-book.ts";
import { NameState } from "./name-state.ts";
import type { DiscoveryServices } from "./services.ts";
import { type NameWatch, SharedWatches } from "./shared-watches.ts";
import type { DiscoverySource, EndpointSpec, Subscription } from "./source.ts";

/** The endpoints of each name, as the configuration has them. */
export type StaticOptions = ReadonlyMap<string, readonly Address[]>;

/** Endpoints that stand in the configuration. They are always known, and a name without any is known to be empty. */
export class StaticSource implements DiscoverySource {
  readonly kind = "static";
  private endpoints: StaticOptions;
  private readonly names: SharedWatches<StaticWatch>;

  constructor(endpoints: StaticOptions, services: DiscoveryServices) {
    this.endpoints = endpoints;
    // What stands in the file needs no other memory.
    const book = new NameBook(this.kind, "", { ...services, cache: undefined });
    this.names = new SharedWatches((name) => {
      const watch = new StaticWatch(name, book);
      watch.list.take(this.specs(name));
      return watch;
    });
  }

  subscribe(name: string): Subscription {
    return this.names.subscribe(name);
  }

  /** Takes the endpoints of a new configuration; every subscription sees its part. One that has none there is about to close. */
  replace(endpoints: StaticOptions): void {
    this.endpoints = endpoints;
    for (const [name, watch] of this.names.watches()) if (endpoints.has(name)) watch.list.take(this.specs(name));
  }

  async close(): Promise<void> {
    await this.names.close();
  }

  private specs(name: string): EndpointSpec[] {
    const addresses = new Map((this.endpoints.get(name) ?? []).map((address) => [formatAddress(address), address]));
    return [...addresses].map(([id, address]) => ({ id, address, weight: 1, zone: undefined, meta: {} }));
  }
}

class StaticWatch implements NameWatch {
  readonly list: NameState;

  constructor(name: string, book: NameBook) {
    this.list = new NameState(name, book);
  }

  get state(): NameState["watch"] {
    return this.list.watch;
  }

  async stop(): Promise<void> {
    this.list.close();
  }
}
