import { isDeepStrictEqual } from "node:util";
import { Watch } from "../core/watch.ts";
import { EndpointScreen } from "./endpoint-screen.ts";
import type { DiscoveryServices } from "./services.ts";
import type { Discovered, DiscoverySource, EndpointSpec } from "./source.ts";

/**
 * What a source knows of one name, and the only place that changes it.
 *
 * Invariants:
 * - a list that was known is never lost to a failure: it stays, with the time since which it is stale;
 * - `endpoints` is the same array as before while its content is, so that a reader may compare by identity;
 * - one log line when a name goes stale and one when it is fresh again, however many tries lie between.
 */
export class NameState {
  readonly watch = new Watch<Discovered>({ kind: "pending", error: undefined });
  private readonly name: string;
  private readonly source: DiscoverySource["kind"];
  private readonly services: DiscoveryServices;
  private readonly screen: EndpointScreen;
  private troubled = false;

  constructor(name: string, source: DiscoverySource["kind"], services: DiscoveryServices) {
    this.name = name;
    this.source = source;
    this.services = services;
    this.screen = new EndpointScreen(name, services);
  }

  /** A good answer. */
  take(specs: readonly EndpointSpec[]): void {
    const endpoints = this.settle(specs);
    if (this.troubled) {
      this.troubled = false;
      this.services.log.info(
        { upstream: this.name, source: this.source, endpoints: endpoints.length },
        `${this.source} answers for ${this.name} again`,
      );
    }
    const updatedAt = this.services.clock.wall();
    this.watch.set({ kind: "known", endpoints, updatedAt, staleSince: undefined, error: undefined });
  }

  /** An answer that is better than nothing, but may be old: it is used as a stale one. */
  borrow(specs: readonly EndpointSpec[], why: string): void {
    const endpoints = this.settle(specs);
    const updatedAt = this.services.clock.wall();
    this.watch.set({ kind: "known", endpoints, updatedAt, staleSince: updatedAt, error: why });
    this.tell(why);
  }

  /** No answer, or one that is not believed: what was known stays. */
  keep(why: string): void {
    const current = this.watch.current;
    this.watch.set(
      current.kind === "pending"
        ? { kind: "pending", error: why }
        : { ...current, staleSince: current.staleSince ?? this.services.clock.wall(), error: why },
    );
    this.tell(why);
  }

  private settle(specs: readonly EndpointSpec[]): readonly EndpointSpec[] {
    const endpoints = this.screen.pass(specs).sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    const current = this.watch.current;
    return current.kind === "known" && isDeepStrictEqual(current.endpoints, endpoints) ? current.endpoints : endpoints;
  }

  private tell(why: string): void {
    if (this.troubled) return;
    this.troubled = true;
    const kept = this.watch.current.kind === "known" ? "the last good answer is kept" : "nothing is known yet";
    this.services.log.warn(
      { upstream: this.name, source: this.source, error: why },
      `no good answer for ${this.name}: ${kept}`,
    );
  }
}
