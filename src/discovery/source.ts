import type { Address } from "../core/address.ts";
import type { Watch } from "../core/watch.ts";

/** One instance of a service as a discovery source knows it. Equality is by `id`. */
export interface EndpointSpec {
  /** Unique in the service; the same instance keeps it when its weight or meta change. */
  readonly id: string;
  readonly address: Address;
  /** Share of calls beside the others, at least 1. */
  readonly weight: number;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
}

/** A good answer of earlier. */
export interface CachedAnswer {
  readonly endpoints: readonly EndpointSpec[];
  /** Wall-clock milliseconds. */
  readonly updatedAt: number;
  /** See `Discovered`. */
  readonly routing?: string | undefined;
}

/** What is known of a name. `pending`: no answer yet. `known` lists keep the last good answer while `staleSince` is set. */
export type Discovered =
  | { readonly kind: "pending"; readonly error: string | undefined }
  | {
      readonly kind: "known";
      readonly endpoints: readonly EndpointSpec[];
      /** Wall-clock milliseconds of the last good answer. */
      readonly updatedAt: number;
      /** Wall-clock milliseconds since which the source no longer answers; undefined while it does. */
      readonly staleSince: number | undefined;
      /** Why it is stale, for people. */
      readonly error: string | undefined;
      /** How the source routes the calls of a service, as the source itself writes it: the answer for a name that asks for that. */
      readonly routing?: string | undefined;
    };

/** A subscription to one name. All holders of the same name share one watch of the source. */
export interface Subscription {
  readonly state: Watch<Discovered>;
  /** Calls for the name so far, as the holder counts them: where not every name can be watched at once, the busiest go first. */
  uses: number;
  /** Gives the subscription back; the source stops watching when the last holder has. Idempotent. */
  close(): void;
}

/** Where endpoints come from. Never throws for an unreachable source: the state says so. */
export interface DiscoverySource {
  readonly kind: "consul" | "directory" | "static" | "dns";
  /**
   * Starts (or joins) the watch of a service name. `before`: what is known of it otherwise, which stands in, as stale, where
   * this source cannot answer at first, and is not given up for an empty answer without a cause.
   */
  subscribe(name: string, before?: CachedAnswer): Subscription;
  /** Frees every watch, timer and socket. */
  close(): Promise<void>;
}

/** Whether names that nobody has declared can be looked up in a source, and the service beside this sidecar published. */
export function isRegistry(kind: DiscoverySource["kind"]): boolean {
  return kind === "consul" || kind === "directory";
}

/** What is published of the service beside this sidecar. */
export interface Registration {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weight: number;
}

/** Publishes the local service. The first state is critical; failures are retried for as long as it stands. */
export interface Registrar {
  /**
   * Publishes the service as critical, and again whenever the source has forgotten it. Resolves once the source has it as it is
   * now, with its health.
   */
  register(registration: Registration): Promise<void>;
  /** The application's health as last seen; passed on at once and repeated as the source needs it. */
  setHealth(serving: boolean, note: string): void;
  /** Withdraws the service, within a bounded time; logs and gives up when the source is away. */
  deregister(): Promise<void>;
  /** Publishes no more and leaves what is published as it is, for another registrar of the same place. Idempotent. */
  abandon(): Promise<void>;
}
