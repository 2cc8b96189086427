import { nodeLookup, type OpenLookup } from "./dns-lookup.ts";
import type { DnsOptions } from "./dns-options.ts";
import { DnsWatch } from "./dns-watch.ts";
import { NameBook } from "./name-book.ts";
import type { DiscoveryServices } from "./services.ts";
import { SharedWatches } from "./shared-watches.ts";
import type { DiscoverySource, Subscription } from "./source.ts";

/** Addresses of hosts and of SRV records, asked of name servers for as long as somebody holds the name. */
export class DnsSource implements DiscoverySource {
  readonly kind = "dns";
  private readonly names: SharedWatches<DnsWatch>;

  constructor(options: DnsOptions, services: DiscoveryServices, open: OpenLookup = nodeLookup(options.servers)) {
    // Other servers may have other answers, as may those of another family.
    const book = new NameBook(this.kind, JSON.stringify([options.servers, options.family]), services);
    this.names = new SharedWatches((upstream) => {
      const name = options.names.get(upstream);
      if (name === undefined) throw new Error(`no DNS name is configured for ${upstream}`);
      return new DnsWatch(upstream, name, options, book, open);
    });
  }

  subscribe(name: string): Subscription {
    return this.names.subscribe(name);
  }

  async close(): Promise<void> {
    await this.names.close();
  }
}
