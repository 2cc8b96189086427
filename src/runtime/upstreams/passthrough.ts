import type { Cluster } from "../../cluster/cluster.ts";
import { defaultPolicy } from "../../cluster/policy.ts";
import { type Address, formatAddress, parseAddress } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { DiscoveryServices } from "../../discovery/services.ts";
import { StaticSource } from "../../discovery/static.ts";
import type { Resolution, SocketTarget, Target } from "../../proxy/target.ts";
import { OnDemand } from "./on-demand.ts";
import type { MakeCluster } from "./upstreams.ts";

/** Addresses that captured HTTP/2 is going to at once; bounded as names that are looked up are, and for the same reason. */
const LIMITS = { max: 200, idle: 600_000, negative: 5_000, rate: 100 };

/** HTTP of captured connections that is no call of the mesh: it goes on to where its connection was going. */
export class Passthrough {
  private readonly addresses: OnDemand;

  /** `target`: what calls of a cluster go through. Whoever is there is none of the mesh: `makeCluster` dials in plaintext. */
  constructor(
    makeCluster: MakeCluster,
    target: (cluster: Cluster) => Target,
    discovery: DiscoveryServices,
    clock: Clock,
    protocol?: SocketTarget["protocol"],
  ) {
    const source = (name: string): StaticSource => {
      const address = parseAddress(name);
      const list = typeof address === "string" ? [] : [address];
      return new StaticSource(new Map([[name, list]]), { ...discovery, own: () => [] });
    };
    this.addresses = new OnDemand(
      LIMITS,
      {
        cluster: (name) => makeCluster(name, source(name), defaultPolicy, undefined, undefined, protocol),
        target,
        forget: () => {},
      },
      clock,
    );
  }

  resolve(address: Address): Resolution {
    return this.addresses.lookup(formatAddress(address));
  }

  clusters(): IterableIterator<Cluster> {
    return this.addresses.clusters();
  }

  close(): void {
    this.addresses.clear();
  }
}
