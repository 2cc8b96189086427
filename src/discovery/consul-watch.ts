import { Backoff } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Watch } from "../core/watch.ts";
import { Alarm } from "./alarm.ts";
import type { ConsulClient } from "./consul-client.ts";
import { judge, type Memory } from "./consul-judge.ts";
import type { HealthAnswer } from "./consul-schema.ts";
import { NameState } from "./name-state.ts";
import type { QuerySlots } from "./query-slots.ts";
import type { DiscoveryServices } from "./services.ts";
import type { NameWatch } from "./shared-watches.ts";
import type { Discovered } from "./source.ts";
import { WakeLimit } from "./wake-limit.ts";

/** How a watch spends its time, in milliseconds. */
export interface ConsulTimings {
  /** Longest blocking query; short, for a query with an index from before a restart blocks as long as that. */
  readonly wait: number;
  /** The same while other names queue for a slot. */
  readonly crowdedWait: number;
  /** How long an answer may take beyond the wait. */
  readonly margin: number;
  readonly backoffBase: number;
  readonly backoffCap: number;
  /** Answers come no more often than one each interval, beyond a burst of them. */
  readonly wakeInterval: number;
  readonly wakeBurst: number;
  /** After an outage, how long nobody is believed to be gone: three heartbeats of a sidecar that must register again. */
  readonly doubtEmpty: number;
}

export const CONSUL_TIMINGS: ConsulTimings = {
  wait: 10_000,
  crowdedWait: 1000,
  margin: 2500,
  backoffBase: 100,
  backoffCap: 5000,
  wakeInterval: 250,
  wakeBurst: 10,
  doubtEmpty: 30_000,
};

/** The watch of one name: one blocking query after the other, for as long as somebody holds it. */
export class ConsulWatch implements NameWatch {
  private readonly name: string;
  private readonly client: ConsulClient;
  private readonly slots: QuerySlots;
  private readonly timings: ConsulTimings;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly list: NameState;
  private readonly alarm: Alarm;
  private readonly backoff: Backoff;
  private readonly wakes: WakeLimit;
  private readonly stopped = new AbortController();
  private readonly running: Promise<void>;
  private memory: Memory = { index: 0n, size: undefined, doubtEmptyUntil: Number.NEGATIVE_INFINITY };
  /** What the next query asks to differ from; 0 asks for an answer at once. */
  private index = 0n;

  constructor(
    name: string,
    client: ConsulClient,
    slots: QuerySlots,
    services: DiscoveryServices,
    timings: ConsulTimings,
  ) {
    this.name = name;
    this.client = client;
    this.slots = slots;
    this.timings = timings;
    this.clock = services.clock;
    this.random = services.random;
    this.list = new NameState(name, "consul", services);
    this.alarm = new Alarm(services.clock);
    this.backoff = new Backoff({ base: timings.backoffBase, cap: timings.backoffCap, random: services.random });
    this.wakes = new WakeLimit(timings.wakeInterval, timings.wakeBurst);
    this.running = this.run();
  }

  get state(): Watch<Discovered> {
    return this.list.watch;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    this.alarm.ring();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (;;) {
      const urgent = this.state.current.kind === "pending";
      const release = await this.slots.acquire(urgent, signal);
      if (release === undefined) return;
      const answer = await this.ask();
      release();
      if (signal.aborted) return;
      const pause = answer instanceof Error ? this.failed(answer) : this.answered(answer);
      await this.alarm.wait(Math.max(pause, this.wakes.next(this.clock.now())));
    }
  }

  private async ask(): Promise<HealthAnswer | Error> {
    const { wait, crowdedWait, margin } = this.timings;
    const longest = this.slots.waiting > 0 ? crowdedWait : wait;
    try {
      return await this.client.health(this.name, {
        index: this.index,
        wait: longest * (0.8 + 0.2 * this.random()),
        margin,
        signal: this.stopped.signal,
      });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Gives how long to wait before the next query, in milliseconds. */
  private answered(answer: HealthAnswer): number {
    const now = this.clock.now();
    const direct = this.index === 0n;
    const wentBack = !answer.streamed && answer.index < this.memory.index;
    // Consul has lost its memory, or another server answers that is behind: its numbers count from now on.
    if (wentBack) this.memory = { ...this.memory, index: answer.index, doubtEmptyUntil: now + this.timings.doubtEmpty };
    const judgement = judge(this.memory, answer, now);
    if (judgement.kind === "keep") {
      this.list.keep(judgement.why);
      this.index = 0n;
      return this.backoff.next();
    }
    if (judgement.kind === "confirm") {
      this.index = 0n;
      // A stream that answers a query which does not block is something that Consul does not do.
      return direct ? this.backoff.next() : 0;
    }
    this.memory = { ...this.memory, index: answer.index, size: answer.endpoints.length };
    this.index = wentBack && !direct ? 0n : answer.index;
    this.backoff.reset();
    if (judgement.kind === "take") this.list.take(answer.endpoints);
    else this.list.borrow(answer.endpoints, judgement.why);
    return 0;
  }

  private failed(error: Error): number {
    this.memory = { ...this.memory, doubtEmptyUntil: this.clock.now() + this.timings.doubtEmpty };
    this.index = 0n;
    this.list.keep(error.message);
    return this.backoff.next();
  }
}
