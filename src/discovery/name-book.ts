import { AddressClaims } from "./address-claims.ts";
import type { AnswerCache } from "./answer-cache.ts";
import type { DiscoveryServices } from "./services.ts";
import type { DiscoverySource, EndpointSpec } from "./source.ts";

/** What the names of one source have in common: its kind, who was given which address, and the answers of earlier days. */
export class NameBook {
  readonly kind: DiscoverySource["kind"];
  readonly services: DiscoveryServices;
  readonly claims = new AddressClaims();
  private readonly cache: AnswerCache | undefined;
  private readonly scope: string;

  /** `scope`: which of all sources of this kind it is, such as an agent's address. An answer of another is no answer here. */
  constructor(kind: DiscoverySource["kind"], scope: string, services: DiscoveryServices) {
    this.kind = kind;
    this.services = services;
    this.cache = services.cache;
    this.scope = scope;
  }

  /** The last good answer that was written down, where it is not too old. */
  recall(key: string): { readonly endpoints: readonly EndpointSpec[]; readonly updatedAt: number } | undefined {
    return this.cache?.recall(this.whole(key));
  }

  /** Writes a good answer down. `updatedAt`: wall-clock milliseconds. */
  remember(key: string, endpoints: readonly EndpointSpec[], updatedAt: number): void {
    this.cache?.remember(this.whole(key), endpoints, updatedAt);
  }

  private whole(key: string): string {
    return JSON.stringify([this.kind, this.scope, key]);
  }
}
