import { Watch } from "../../core/watch.ts";
import { NameBook } from "../name-book.ts";
import { NameState } from "../name-state.ts";
import type { DiscoveryServices } from "../services.ts";
import { type NameWatch, SharedWatches } from "../shared-watches.ts";
import type { CachedAnswer, Discovered, DiscoverySource, Subscription } from "../source.ts";
import { nodeLookup, type OpenLookup } from "./lookup.ts";
import type { DnsOptions } from "./options.ts";
import { DnsWatch } from "./watch.ts";

/** Addresses of hosts and of SRV records, asked of name servers for as long as somebody holds the name. */
export class DnsSource implements DiscoverySource {
  readonly kind = "dns";
  private readonly names: SharedWatches<NameWatch>;

  constructor(options: DnsOptions, services: DiscoveryServices, open: OpenLookup = nodeLookup(options.servers)) {
    // Other servers may have other answers, as may those of another family.
    const book = new NameBook(this.kind, JSON.stringify([options.servers, options.family]), services);
    this.names = new SharedWatches<NameWatch>((upstream, _demand, before) => {
      const name = options.names.get(upstream);
      if (name === undefined) return nameless(upstream);
      const list = new NameState(upstream, book, before, JSON.stringify(name));
      return new DnsWatch(list, name, options, services, open);
    });
  }

  subscribe(name: string, before?: CachedAnswer): Subscription {
    return this.names.subscribe(name, before);
  }

  async close(): Promise<void> {
    await this.names.close();
  }
}

/** While a configuration is replaced somebody may still hold an upstream that the new one does not have. */
function nameless(upstream: string): NameWatch {
  const state = new Watch<Discovered>({ kind: "pending", error: `no name in DNS is configured for ${upstream}` });
  return { state, stop: async () => {} };
}
