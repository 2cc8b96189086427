import type { UpstreamConfig } from "../../config/types.ts";
import type { DiscoverySource } from "../../discovery/source.ts";
import type { Target } from "../../proxy/target.ts";
import { type ChainSurroundings, chainLookupOf, UpstreamChain } from "./chain.ts";

/** A declared upstream. */
interface Declared {
  readonly config: UpstreamConfig;
  readonly target: Target;
}

/** How Consul routes the upstreams that say so. One is kept over reloads for as long as it is the chain of the same service. */
export class ConsulChains {
  private readonly byUpstream = new Map<string, UpstreamChain>();
  private readonly source: () => DiscoverySource;
  private readonly surroundings: (upstream: string, declared: Declared) => ChainSurroundings;

  constructor(source: () => DiscoverySource, surroundings: ConsulChains["surroundings"]) {
    this.source = source;
    this.surroundings = surroundings;
  }

  of(upstream: string): UpstreamChain | undefined {
    return this.byUpstream.get(upstream);
  }

  all(): IterableIterator<UpstreamChain> {
    return this.byUpstream.values();
  }

  /** Goes over to the upstreams of another configuration. */
  apply(declared: Iterable<[string, Declared]>): void {
    const before = new Map(this.byUpstream);
    this.byUpstream.clear();
    for (const [name, upstream] of declared) {
      if (upstream.config.routing !== "consul") continue;
      const surroundings = this.surroundings(name, upstream);
      const lookup = chainLookupOf(upstream.config, name);
      const old = before.get(name);
      const kept = old?.lookup === lookup ? old : undefined;
      kept?.apply(surroundings);
      if (kept !== undefined) before.delete(name);
      const chain = kept ?? new UpstreamChain(name, lookup, this.source().subscribe(lookup), surroundings);
      this.byUpstream.set(name, chain);
    }
    for (const chain of before.values()) chain.close();
  }

  close(): void {
    for (const chain of this.all()) chain.close();
  }
}
