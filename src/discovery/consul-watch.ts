import { Backoff } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Watch } from "../core/watch.ts";
import { Alarm } from "./alarm.ts";
import { catalogSuccessors } from "./catalog-successors.ts";
import type { ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-error.ts";
import { judge, type Memory } from "./consul-judge.ts";
import { consulQuestion } from "./consul-name.ts";
import type { HealthAnswer } from "./consul-schema.ts";
import type { NameBook } from "./name-book.ts";
import { NameState } from "./name-state.ts";
import type { Applicant, QuerySlots } from "./query-slots.ts";
import type { Demand, NameWatch } from "./shared-watches.ts";
import type { CachedAnswer, Discovered } from "./source.ts";
import { WakeLimit } from "./wake-limit.ts";

/** How a watch spends its time, in milliseconds. */
export interface ConsulTimings {
  /** Between two executions of a prepared query, which cannot block. */
  readonly poll: number;
  /** Longest blocking query; short, for a query with an index from before a restart blocks as long as that. */
  readonly wait: number;
  /** The same while other names queue for a slot, … */
  readonly crowdedWait: number;
  /** … and shorter still where their turn would take longer than this to come round. */
  readonly rotation: number;
  /** How long an answer may take beyond the wait. */
  readonly margin: number;
  readonly backoffBase: number;
  readonly backoffCap: number;
  /** Answers come no more often than one each interval, beyond a burst of them. */
  readonly wakeInterval: number;
  readonly wakeBurst: number;
  /** After an outage, how long nobody is believed to be gone: three heartbeats of a sidecar that must register again. */
  readonly doubtEmpty: number;
  /** How long a list is good without an answer, while the agent has too many connections to give one. */
  readonly patience: number;
}

export const CONSUL_TIMINGS: ConsulTimings = {
  poll: 5000,
  wait: 10_000,
  crowdedWait: 1000,
  rotation: 10_000,
  margin: 2500,
  backoffBase: 100,
  backoffCap: 5000,
  wakeInterval: 250,
  wakeBurst: 10,
  doubtEmpty: 30_000,
  patience: 15_000,
};

/** Shortest wait of a blocking query, in milliseconds. */
const SHORTEST_WAIT = 50;
/** Longest pause after a refusal that says nothing of the name, in milliseconds. */
const OVERLOAD_PAUSE = 1000;

/** What comes after a query. */
interface Next {
  /** Milliseconds until the next one. */
  readonly pause: number;
  /** It goes out now, in the same slot. */
  readonly confirm: boolean;
}

/** What the watches of one agent share. */
export interface ConsulSurroundings {
  readonly client: ConsulClient;
  readonly slots: QuerySlots;
  readonly book: NameBook;
  readonly timings: ConsulTimings;
}

/** The watch of one name: one blocking query after the other, for as long as somebody holds it. */
export class ConsulWatch implements NameWatch {
  private readonly name: string;
  private readonly polls: boolean;
  private readonly client: ConsulClient;
  private readonly slots: QuerySlots;
  private readonly timings: ConsulTimings;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly demand: Demand;
  private readonly list: NameState;
  private readonly alarm: Alarm;
  private readonly backoff: Backoff;
  private readonly wakes: WakeLimit;
  private readonly stopped = new AbortController();
  private readonly running: Promise<void>;
  private memory: Memory;
  /** What the next query asks to differ from; 0 asks for an answer at once. */
  private index = 0n;
  /** The clock's milliseconds of the last answer that needed no confirmation, or of the beginning. */
  private answeredAt: number;
  /** Calls a second, and what they are counted from. */
  private rate = 0;
  private counted = { calls: 0, at: 0 };

  constructor(
    name: string,
    demand: Demand,
    before: CachedAnswer | undefined,
    { client, slots, book, timings }: ConsulSurroundings,
  ) {
    const { clock, random } = book.services;
    this.name = name;
    this.polls = consulQuestion(name).kind === "query";
    this.demand = demand;
    this.client = client;
    this.slots = slots;
    this.timings = timings;
    this.clock = clock;
    this.random = random;
    this.list = new NameState(name, book, before);
    this.alarm = new Alarm(clock);
    this.backoff = new Backoff({ base: timings.backoffBase, cap: timings.backoffCap, random });
    this.wakes = new WakeLimit(timings.wakeInterval, timings.wakeBurst);
    this.answeredAt = clock.now();
    this.counted = { calls: 0, at: this.answeredAt };
    const { length } = this.list.remembered;
    // Whether Consul has been away meanwhile nobody knows.
    this.memory =
      length === 0
        ? { index: 0n, size: undefined, doubtEmptyUntil: Number.NEGATIVE_INFINITY }
        : { index: 0n, size: length, doubtEmptyUntil: this.doubtUntil() };
    this.running = this.run();
  }

  get state(): Watch<Discovered> {
    return this.list.watch;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    this.alarm.ring();
    await this.running;
    this.list.close();
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (;;) {
      const release = await this.slots.acquire(this.applicant(), signal);
      if (release === undefined) return;
      let next = await this.query();
      if (next.confirm && !signal.aborted) next = await this.query();
      release();
      if (signal.aborted) return;
      await this.alarm.wait(
        Math.max(next.pause, this.wakes.next(this.clock.now()), this.polls ? this.untilNextPoll() : 0),
      );
    }
  }

  /** What cannot block is asked again after a while. */
  private untilNextPoll(): number {
    return this.timings.poll * (0.8 + 0.4 * this.random());
  }

  private applicant(): Applicant {
    const at = this.clock.now();
    const calls = this.demand();
    const elapsed = at - this.counted.at;
    if (elapsed > 0) {
      const recent = (Math.max(0, calls - this.counted.calls) / elapsed) * 1000;
      this.rate = (this.rate + recent) / 2;
      this.counted = { calls, at };
    }
    return { urgent: this.state.current.kind === "pending", rate: this.rate, since: this.answeredAt };
  }

  private async query(): Promise<Next> {
    const { signal } = this.stopped;
    let answer: HealthAnswer;
    try {
      const wait = this.longestWait() * (0.8 + 0.2 * this.random());
      answer = await this.client.health(this.name, { index: this.index, wait, margin: this.timings.margin, signal });
    } catch (error) {
      return signal.aborted ? { pause: 0, confirm: false } : this.failed(error);
    }
    return signal.aborted ? { pause: 0, confirm: false } : await this.answered(answer);
  }

  private longestWait(): number {
    const { wait, crowdedWait, rotation } = this.timings;
    const { waiting, count } = this.slots;
    if (waiting === 0) return wait;
    return Math.min(crowdedWait, Math.max(SHORTEST_WAIT, (rotation * count) / waiting));
  }

  private async answered(answer: HealthAnswer): Promise<Next> {
    const now = this.clock.now();
    const direct = this.index === 0n;
    const wentBack = !answer.streamed && answer.index < this.memory.index;
    // Consul has lost its memory, or another server answers that is behind: its numbers count from now on.
    if (wentBack) this.memory = { ...this.memory, index: answer.index, doubtEmptyUntil: this.doubtUntil() };
    const judgement = judge(this.memory, answer, now);
    if (judgement.kind !== "confirm") this.answeredAt = now;
    if (judgement.kind === "keep") {
      this.list.keep(judgement.why);
      this.index = 0n;
      await this.giveUpAddresses();
      return { pause: this.backoff.next(), confirm: false };
    }
    if (judgement.kind === "confirm") {
      this.index = 0n;
      // A stream that answers a query which does not block is something that Consul does not do.
      return direct ? { pause: this.backoff.next(), confirm: false } : { pause: 0, confirm: true };
    }
    this.memory = { ...this.memory, index: answer.index, size: answer.endpoints.length };
    this.index = wentBack && !direct ? 0n : answer.index;
    this.backoff.reset();
    if (judgement.kind === "take") this.list.take(answer.endpoints, answer.tenures);
    else this.list.borrow(answer.endpoints, judgement.why);
    return { pause: 0, confirm: false };
  }

  private failed(cause: unknown): Next {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const pause = this.backoff.next();
    if (error instanceof ConsulError && error.isOverload) {
      this.slots.refused(error.message);
      if (this.clock.now() - this.answeredAt < this.timings.patience) {
        this.list.wait(error.message);
        // How often the agent is asked is up to the slots.
        return { pause: Math.min(pause, OVERLOAD_PAUSE), confirm: false };
      }
    }
    this.memory = { ...this.memory, doubtEmptyUntil: this.doubtUntil() };
    this.index = 0n;
    this.list.keep(error.message);
    return { pause, confirm: false };
  }

  /** A list is kept that the catalog does not have any more: what it has given to others since is none of it. */
  private async giveUpAddresses(): Promise<void> {
    const { current } = this.state;
    if (current.kind !== "known") return;
    const limits = { timeout: this.timings.margin, signal: this.stopped.signal };
    this.list.withdraw(await catalogSuccessors(this.client, this.name, current.endpoints, limits));
  }

  private doubtUntil(): number {
    return this.clock.now() + this.timings.doubtEmpty;
  }
}
