import type { Clock } from "../../../core/clock.ts";
import { Watch } from "../../../core/watch.ts";
import type { NameBook } from "../../name-book.ts";
import type { Demand, NameWatch } from "../../shared-watches.ts";
import type { CachedAnswer, Discovered, EndpointSpec } from "../../source.ts";
import type { ChainAnswer, ConsulClient } from "../client.ts";
import { type Next, type QueryHost, QueryLoop } from "../query-loop.ts";
import type { ConsulTimings } from "../timings.ts";
import type { ConsulSurroundings } from "../watch.ts";
import { readChain } from "./reader.ts";

const NO_ENDPOINTS: readonly EndpointSpec[] = [];

type Known = Extract<Discovered, { kind: "known" }>;

/**
 * The watch of how the calls of a service are routed.
 *
 * Invariants:
 * - what was known is kept, as stale, while Consul does not answer, refuses the token, or sends what is no chain;
 * - that nothing is said any more is not believed right after an outage: a server without its memory says so of everything;
 * - before the first answer the one of an earlier day stands in where there is a failure, as it does for endpoints.
 */
export class ConsulChainWatch implements NameWatch, QueryHost {
  readonly state: Watch<Discovered> = new Watch<Discovered>({ kind: "pending", error: undefined });
  readonly polls = false;
  private readonly name: string;
  private readonly client: ConsulClient;
  private readonly book: NameBook;
  private readonly timings: ConsulTimings;
  private readonly clock: Clock;
  private readonly loop: QueryLoop;
  private readonly before: CachedAnswer | undefined;
  /** What the next query asks to differ from; 0 asks for an answer at once. */
  private index = 0n;
  /** The index of the last answer that was believed. */
  private seen = 0n;
  private doubtUntil: number;
  private troubled = false;

  constructor(
    name: string,
    demand: Demand,
    before: CachedAnswer | undefined,
    { client, slots, book, timings }: ConsulSurroundings,
  ) {
    this.name = name;
    this.client = client;
    this.book = book;
    this.timings = timings;
    this.clock = book.services.clock;
    const kept = before ?? book.recall(name);
    this.before = kept?.routing === undefined ? undefined : kept;
    this.doubtUntil = this.before === undefined ? Number.NEGATIVE_INFINITY : this.clock.now() + timings.doubtEmpty;
    this.loop = new QueryLoop(this, demand, { client, slots, timings, services: book.services });
    this.loop.start();
  }

  get isUrgent(): boolean {
    return this.state.current.kind === "pending";
  }

  async stop(): Promise<void> {
    await this.loop.stop();
  }

  async query(wait: number, signal: AbortSignal): Promise<Next> {
    const how = { index: this.index, wait, margin: this.timings.margin, signal };
    return this.answered(await this.client.chain(this.name, how));
  }

  renewed(): void {
    this.index = 0n;
  }

  failed(error: Error, isOverload: boolean): void {
    const { current } = this.state;
    if (isOverload) {
      if (current.kind === "pending") this.state.set({ kind: "pending", error: error.message });
      return;
    }
    this.doubt();
    this.keep(error.message);
  }

  private answered(answer: ChainAnswer): Next {
    this.loop.answeredAt = this.clock.now();
    // Consul has lost its memory, or another server answers that is behind.
    if (answer.index < this.seen) this.doubt();
    this.seen = answer.index;
    const obstacle = this.obstacleTo(answer);
    if (obstacle !== undefined) {
      // Without a leader there is nothing better to be had than this.
      if (this.known === undefined && !answer.knownLeader) this.take(answer, obstacle);
      else this.keep(obstacle);
      return { pause: this.loop.backoff.next(), confirm: false };
    }
    this.loop.backoff.reset();
    this.index = answer.index;
    this.take(answer, undefined);
    return { pause: 0, confirm: false };
  }

  /** Why an answer is not believed. */
  private obstacleTo({ knownLeader, isDefault }: ChainAnswer): string | undefined {
    if (!knownLeader) return "the server that answered knows no cluster leader";
    const routing = this.known?.routing;
    if (!isDefault || routing === undefined || this.clock.now() >= this.doubtUntil) return undefined;
    const chain = readChain(routing);
    if (typeof chain === "string" || chain.isDefault) return undefined;
    return "all config entries went away right after an outage of consul";
  }

  /** What is known, or was on an earlier day. */
  private get known(): Known | undefined {
    const { current } = this.state;
    if (current.kind === "known") return current;
    if (this.before === undefined) return undefined;
    const { updatedAt, routing } = this.before;
    return { kind: "known", endpoints: NO_ENDPOINTS, updatedAt, staleSince: updatedAt, error: undefined, routing };
  }

  private take({ text }: ChainAnswer, why: string | undefined): void {
    const updatedAt = this.clock.wall();
    const staleSince = why === undefined ? undefined : updatedAt;
    if (why === undefined) this.book.remember(this.name, NO_ENDPOINTS, updatedAt, text);
    if (this.troubled && why === undefined) {
      this.troubled = false;
      this.book.services.log.info({ source: this.book.kind }, `${this.book.kind} answers for ${this.name} again`);
    }
    this.state.set({ kind: "known", endpoints: NO_ENDPOINTS, updatedAt, staleSince, error: why, routing: text });
  }

  private keep(error: string): void {
    this.index = 0n;
    const { known } = this;
    if (!this.troubled) {
      this.troubled = true;
      const kept = known === undefined ? "nothing is known yet" : "the last good answer is kept";
      this.book.services.log.warn({ source: this.book.kind, error }, `no good answer for ${this.name}: ${kept}`);
    }
    if (known === undefined) this.state.set({ kind: "pending", error });
    else this.state.set({ ...known, staleSince: known.staleSince ?? this.clock.wall(), error });
  }

  private doubt(): void {
    this.doubtUntil = this.clock.now() + this.timings.doubtEmpty;
  }
}
