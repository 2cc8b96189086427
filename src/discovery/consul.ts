import { ConsulClient, type ConsulOptions } from "./consul-client.ts";
import { CONSUL_TIMINGS, type ConsulTimings, ConsulWatch } from "./consul-watch.ts";
import { QuerySlots } from "./query-slots.ts";
import type { DiscoveryServices } from "./services.ts";
import { SharedWatches } from "./shared-watches.ts";
import type { DiscoverySource, Subscription } from "./source.ts";

/** The passing instances of services in Consul's catalog, by blocking queries to an agent. */
export class ConsulSource implements DiscoverySource {
  readonly kind = "consul";
  private readonly client: ConsulClient;
  private readonly names: SharedWatches<ConsulWatch>;

  constructor(options: ConsulOptions, services: DiscoveryServices, timings: ConsulTimings = CONSUL_TIMINGS) {
    this.client = new ConsulClient(options, services.clock);
    const slots = new QuerySlots();
    this.names = new SharedWatches((name) => new ConsulWatch(name, this.client, slots, services, timings));
  }

  subscribe(name: string): Subscription {
    return this.names.subscribe(name);
  }

  async close(): Promise<void> {
    await this.names.close();
    this.client.close();
  }
}
