import type { Clock } from "../../core/clock.ts";
import type { Watch } from "../../core/watch.ts";
import type { NameBook } from "../name-book.ts";
import { NameState } from "../name-state.ts";
import type { Demand, NameWatch } from "../shared-watches.ts";
import type { CachedAnswer, Discovered } from "../source.ts";
import { catalogSuccessors } from "./catalog-successors.ts";
import type { ConsulClient } from "./client.ts";
import { judge, type Memory } from "./judge.ts";
import { consulQuestion } from "./name.ts";
import { type Next, type QueryHost, QueryLoop } from "./query-loop.ts";
import type { QuerySlots } from "./query-slots.ts";
import type { HealthAnswer } from "./schema.ts";
import type { ConsulTimings } from "./timings.ts";

/** What the watches of one agent share. */
export interface ConsulSurroundings {
  readonly client: ConsulClient;
  readonly slots: QuerySlots;
  readonly book: NameBook;
  readonly timings: ConsulTimings;
}

/** The watch of the instances of one name: one blocking query after the other, for as long as somebody holds it. */
export class ConsulWatch implements NameWatch, QueryHost {
  readonly polls: boolean;
  private readonly name: string;
  private readonly client: ConsulClient;
  private readonly timings: ConsulTimings;
  private readonly clock: Clock;
  private readonly list: NameState;
  private readonly loop: QueryLoop;
  private memory: Memory;
  /** What the next query asks to differ from; 0 asks for an answer at once. */
  private index = 0n;

  constructor(
    name: string,
    demand: Demand,
    before: CachedAnswer | undefined,
    { client, slots, book, timings }: ConsulSurroundings,
  ) {
    const question = consulQuestion(name);
    this.name = name;
    this.polls = question.kind === "query";
    this.client = client;
    this.timings = timings;
    this.clock = book.services.clock;
    this.list = new NameState(name, book, before, name, question.kind === "query" ? name : question.service);
    this.loop = new QueryLoop(this, demand, { client, slots, timings, services: book.services });
    const { length } = this.list.remembered;
    // Whether Consul has been away meanwhile nobody knows.
    this.memory =
      length === 0
        ? { index: 0n, size: undefined, doubtEmptyUntil: Number.NEGATIVE_INFINITY }
        : { index: 0n, size: length, doubtEmptyUntil: this.doubtUntil() };
    this.loop.start();
  }

  get state(): Watch<Discovered> {
    return this.list.watch;
  }

  get isUrgent(): boolean {
    return this.state.current.kind === "pending";
  }

  async stop(): Promise<void> {
    await this.loop.stop();
    this.list.close();
  }

  async query(wait: number, signal: AbortSignal): Promise<Next> {
    const answer = await this.client.health(this.name, {
      index: this.index,
      wait,
      margin: this.timings.margin,
      signal,
    });
    return signal.aborted ? { pause: 0, confirm: false } : await this.answered(answer);
  }

  renewed(): void {
    this.index = 0n;
  }

  failed(error: Error, isOverload: boolean): void {
    if (isOverload) {
      this.list.wait(error.message);
      return;
    }
    this.memory = { ...this.memory, doubtEmptyUntil: this.doubtUntil() };
    this.index = 0n;
    this.list.keep(error.message);
  }

  private async answered(answer: HealthAnswer): Promise<Next> {
    const { backoff } = this.loop;
    const now = this.clock.now();
    const direct = this.index === 0n;
    const wentBack = !answer.streamed && answer.index < this.memory.index;
    // Consul has lost its memory, or another server answers that is behind: its numbers count from now on.
    if (wentBack) this.memory = { ...this.memory, index: answer.index, doubtEmptyUntil: this.doubtUntil() };
    const judgement = judge(this.memory, answer, now);
    if (judgement.kind !== "confirm") this.loop.answeredAt = now;
    if (judgement.kind === "keep") {
      this.list.keep(judgement.why);
      this.index = 0n;
      await this.giveUpAddresses();
      return { pause: backoff.next(), confirm: false };
    }
    if (judgement.kind === "confirm") {
      this.index = 0n;
      // A stream that answers a query which does not block is something that Consul does not do.
      return direct ? { pause: backoff.next(), confirm: false } : { pause: 0, confirm: true };
    }
    this.memory = { ...this.memory, index: answer.index, size: answer.endpoints.length };
    this.index = wentBack && !direct ? 0n : answer.index;
    backoff.reset();
    if (judgement.kind === "take") this.list.take(answer.endpoints, answer.tenures);
    else this.list.borrow(answer.endpoints, judgement.why);
    return { pause: 0, confirm: false };
  }

  /** A list is kept that the catalog does not have any more: what it has given to others since is none of it. */
  private async giveUpAddresses(): Promise<void> {
    const { current } = this.state;
    if (current.kind !== "known") return;
    const limits = { timeout: this.timings.margin, signal: this.loop.signal };
    this.list.withdraw(await catalogSuccessors(this.client, this.name, current.endpoints, limits));
  }

  private doubtUntil(): number {
    return this.clock.now() + this.timings.doubtEmpty;
  }
}
