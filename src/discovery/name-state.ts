import { isDeepStrictEqual } from "node:util";
import { formatAddress } from "../core/address.ts";
import { Watch } from "../core/watch.ts";
import type { Claimant, Tenures } from "./address-claims.ts";
import { EndpointScreen } from "./endpoint-screen.ts";
import type { NameBook } from "./name-book.ts";
import type { CachedAnswer, Discovered, EndpointSpec } from "./source.ts";

/** Everything that was known of a name, before what others have now is left out. */
interface Known {
  readonly specs: readonly EndpointSpec[];
  /** Wall-clock milliseconds of the last good answer. */
  readonly updatedAt: number;
  readonly staleSince: number | undefined;
  readonly error: string | undefined;
}

/**
 * What a source knows of one name, and the only place that changes it.
 *
 * Invariants:
 * - a list that was known is never lost to a failure: it stays, with the time since which it is stale;
 * - before the first answer of the source a failure falls back to the answer of an earlier day, where one was written down;
 * - an address that the source has given to another name since is not taken for this one, however old this list is;
 * - `endpoints` is the same array as before while its content is, so that a reader may compare by identity;
 * - one log line when a name goes stale and one when it is fresh again, however many tries lie between.
 */
export class NameState implements Claimant {
  readonly name: string;
  readonly service: string;
  readonly watch = new Watch<Discovered>({ kind: "pending", error: undefined });
  /** What was known before this source's first answer; empty where nothing was. */
  readonly remembered: readonly EndpointSpec[];
  private readonly rememberedAt: number;
  private readonly book: NameBook;
  private readonly key: string;
  private readonly screen: EndpointScreen;
  private known: Known | undefined = undefined;
  /** The clock's milliseconds of the last good answer. */
  private goodAt = Number.NEGATIVE_INFINITY;
  private troubled = false;
  /** Endpoints that are another name's now, as they were told of. */
  private lost: ReadonlySet<string> = new Set();

  /**
   * `before`: see DiscoverySource.subscribe; without it an answer of an earlier day is taken, where one was written down.
   * `key`: what it is written down by; two names of one sidecar may stand for the same. `service`: see `Claimant`.
   */
  constructor(name: string, book: NameBook, before?: CachedAnswer, key: string = name, service: string = name) {
    this.name = name;
    this.service = service;
    this.book = book;
    this.key = key;
    this.screen = new EndpointScreen(name, book.services);
    const { endpoints, updatedAt } = before ?? book.recall(key) ?? { endpoints: [], updatedAt: 0 };
    this.remembered = endpoints;
    this.rememberedAt = updatedAt;
  }

  /** A good answer. */
  take(specs: readonly EndpointSpec[], tenures?: Tenures): void {
    const { clock, log } = this.book.services;
    const passed = this.settle(specs);
    const updatedAt = clock.wall();
    this.goodAt = clock.now();
    this.known = { specs: passed, updatedAt, staleSince: undefined, error: undefined };
    this.book.claims.take(this, passed, this.goodAt, tenures, this.remembered);
    this.book.remember(this.key, passed, updatedAt);
    if (this.troubled) {
      this.troubled = false;
      const text = `${this.book.kind} answers for ${this.name} again`;
      log.info({ upstream: this.name, source: this.book.kind, endpoints: passed.length }, text);
    }
    this.show();
  }

  /** An answer that is better than nothing, but may be old or not whole: it is used as a stale one. */
  borrow(specs: readonly EndpointSpec[], why: string): void {
    const wall = this.book.services.clock.wall();
    const updatedAt = this.known?.updatedAt ?? wall;
    this.known = { specs: this.settle(specs), updatedAt, staleSince: this.known?.staleSince ?? wall, error: why };
    this.tell(why);
    this.book.claims.keeps(this);
    this.show();
  }

  /** No answer, or one that is not believed: what was known stays. */
  keep(why: string): void {
    if (this.known !== undefined) {
      const staleSince = this.known.staleSince ?? this.book.services.clock.wall();
      this.known = { ...this.known, staleSince, error: why };
    } else if (this.remembered.length > 0) {
      const { rememberedAt: at } = this;
      this.known = { specs: this.settle(this.remembered), updatedAt: at, staleSince: at, error: why };
    }
    this.tell(why);
    if (this.known === undefined) {
      this.watch.set({ kind: "pending", error: why });
    } else {
      this.book.claims.keeps(this);
      this.show();
    }
  }

  /** There is no answer yet, for a reason that says nothing of the name. What is known is not made stale by it. */
  wait(why: string): void {
    if (this.known === undefined) this.watch.set({ kind: "pending", error: why });
  }

  /** The source says that addresses of a list that is kept are another's now: they leave it. */
  withdraw(successors: ReadonlyMap<string, string>): void {
    if (this.known === undefined || successors.size === 0) return;
    const specs = this.known.specs.filter((spec) => {
      const successor = successors.get(formatAddress(spec.address));
      if (successor !== undefined) this.tellLost(spec, successor);
      return successor === undefined;
    });
    if (specs.length === this.known.specs.length) return;
    this.known = { ...this.known, specs };
    this.show();
  }

  reconsider(): void {
    if (this.known !== undefined) this.show();
  }

  /** The name is watched no longer: what it was given is nobody's. */
  close(): void {
    this.book.claims.forget(this);
  }

  /** Shows what is known, without what is another name's now. */
  private show(): void {
    if (this.known === undefined) return;
    const { updatedAt, staleSince, error } = this.known;
    const endpoints = this.own(this.known.specs, staleSince !== undefined);
    const before = this.watch.current.kind === "known" ? this.watch.current : undefined;
    const list = before !== undefined && isDeepStrictEqual(before.endpoints, endpoints) ? before.endpoints : endpoints;
    this.watch.set({ kind: "known", endpoints: list, updatedAt, staleSince, error });
  }

  private own(specs: readonly EndpointSpec[], isStale: boolean): readonly EndpointSpec[] {
    const lost = new Set<string>();
    const own = specs.filter((spec) => {
      const successor = this.book.claims.successor(this, spec.address, isStale ? this.goodAt : undefined);
      if (successor === undefined) return true;
      lost.add(spec.id);
      if (!this.lost.has(spec.id)) this.tellLost(spec, successor.name);
      return false;
    });
    this.lost = lost;
    // What was given away while this list was old does not come back with an old list.
    if (isStale && lost.size > 0 && this.known !== undefined) this.known = { ...this.known, specs: own };
    return own;
  }

  private settle(specs: readonly EndpointSpec[]): readonly EndpointSpec[] {
    const passed = this.screen.pass(specs);
    // The order of a file means something (pickFirst); that of an answer differs from one to the next.
    return this.book.kind === "static" ? passed : passed.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  }

  private tellLost({ address }: EndpointSpec, successor: string): void {
    const label = formatAddress(address);
    this.book.services.log.warn(
      { upstream: this.name, source: this.book.kind, endpoint: label, successor },
      `${label} is an instance of ${successor} now and is not used for ${this.name} any more`,
    );
  }

  private tell(why: string): void {
    if (this.troubled) return;
    this.troubled = true;
    const { kind, services } = this.book;
    const age = this.known === undefined ? 0 : services.clock.wall() - this.known.updatedAt;
    let kept = "nothing is known yet";
    if (this.known?.updatedAt === this.rememberedAt) kept = `the answer of ${Math.round(age / 1000)} s ago is used`;
    else if (this.known !== undefined) kept = "the last good answer is kept";
    services.log.warn({ upstream: this.name, source: kind, error: why }, `no good answer for ${this.name}: ${kept}`);
  }
}
