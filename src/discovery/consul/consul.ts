import { NameBook } from "../name-book.ts";
import type { DiscoveryServices } from "../services.ts";
import { type NameWatch, SharedWatches } from "../shared-watches.ts";
import type { CachedAnswer, DiscoverySource, Subscription } from "../source.ts";
import { ConsulChainWatch } from "./chain/watch.ts";
import { ConsulClient, type ConsulOptions } from "./client.ts";
import { consulQuestion } from "./name.ts";
import { QuerySlots } from "./query-slots.ts";
import { SlotNotice } from "./slot-notice.ts";
import { CONSUL_TIMINGS, type ConsulTimings } from "./timings.ts";
import { ConsulWatch } from "./watch.ts";

/** The passing instances of services in Consul's catalog, and how Consul itself routes their calls, by blocking queries to an agent. */
export class ConsulSource implements DiscoverySource {
  readonly kind = "consul";
  private readonly client: ConsulClient;
  private readonly names: SharedWatches<NameWatch>;

  constructor(options: ConsulOptions, services: DiscoveryServices, timings: ConsulTimings = CONSUL_TIMINGS) {
    const { clock, log } = services;
    const client = new ConsulClient(options, clock, (message) => log.warn(message));
    const told = new SlotNotice(client.host, log);
    const slots = new QuerySlots(clock, (size, why) => {
      client.limit(size);
      told.size(size, why);
    });
    const surroundings = { client, slots, book: new NameBook(this.kind, scopeOf(options), services), timings };
    this.client = client;
    this.names = new SharedWatches((name, demand, before) => {
      const Kind = consulQuestion(name).kind === "chain" ? ConsulChainWatch : ConsulWatch;
      return new Kind(name, demand, before, surroundings);
    });
  }

  subscribe(name: string, before?: CachedAnswer): Subscription {
    return this.names.subscribe(name, before);
  }

  async close(): Promise<void> {
    await this.names.close();
    this.client.close();
  }
}

/** Where the answers come from: those of another agent's data centre are none here. The token is no part of it. */
function scopeOf({ address, datacenter, namespace, partition }: ConsulOptions): string {
  return JSON.stringify([address, datacenter, namespace, partition]);
}
