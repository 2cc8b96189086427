import { AddressClaims } from "./address-claims.ts";
import type { DiscoveryServices } from "./services.ts";
import type { CachedAnswer, DiscoverySource, EndpointSpec } from "./source.ts";

/** What the names of one source have in common: its kind, who was given which address, and the answers of earlier days. */
export class NameBook {
  readonly kind: DiscoverySource["kind"];
  readonly services: DiscoveryServices;
  readonly claims = new AddressClaims();
  private readonly scope: string;

  /** `scope`: which of all sources of this kind it is, such as an agent's address. An answer of another is no answer here. */
  constructor(kind: DiscoverySource["kind"], scope: string, services: DiscoveryServices) {
    this.kind = kind;
    this.services = services;
    this.scope = scope;
  }

  /** The last good answer that was written down, where it is not too old. */
  recall(key: string): CachedAnswer | undefined {
    return this.services.cache?.recall(this.whole(key));
  }

  /** Writes a good answer down. `updatedAt`: wall-clock milliseconds. */
  remember(key: string, endpoints: readonly EndpointSpec[], updatedAt: number, routing?: string): void {
    this.services.cache?.remember(this.whole(key), endpoints, updatedAt, routing);
  }

  private whole(key: string): string {
    return JSON.stringify([this.kind, this.scope, key]);
  }
}
