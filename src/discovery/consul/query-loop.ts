import { Backoff } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import { Alarm } from "../alarm.ts";
import type { DiscoveryServices } from "../services.ts";
import type { Demand } from "../shared-watches.ts";
import type { ConsulClient } from "./client.ts";
import { ConsulError } from "./error.ts";
import type { QuerySlots } from "./query-slots.ts";
import type { ConsulTimings } from "./timings.ts";
import { WakeLimit } from "./wake-limit.ts";

/** Shortest wait of a blocking query, in milliseconds. */
const SHORTEST_WAIT = 50;
/** Longest pause after a refusal that says nothing of the name, in milliseconds. */
const OVERLOAD_PAUSE = 1000;

/** What comes after a query. */
export interface Next {
  /** Milliseconds until the next one. */
  readonly pause: number;
  /** It goes out now, in the same slot. */
  readonly confirm: boolean;
}

/** Who asks the queries of a loop, and what it makes of their answers. */
export interface QueryHost {
  /** It has no answer yet: it goes before all who have. */
  readonly isUrgent: boolean;
  /** Its queries cannot block: one every so often. */
  readonly polls: boolean;
  /** Asks for an answer, or for a change within `wait` milliseconds, and takes it. Rejects where there is none. */
  query(wait: number, signal: AbortSignal): Promise<Next>;
  /** A query had no answer. `isOverload`: it says nothing of the name, and not too much time has passed without one. */
  failed(error: Error, isOverload: boolean): void;
  /** Who asks has another token or other certificates: the next query is to ask for an answer, not for a change. */
  renewed(): void;
}

/** What every query loop of a source shares. */
export interface LoopSurroundings {
  readonly client: Pick<ConsulClient, "onRenewed">;
  readonly slots: QuerySlots;
  readonly timings: ConsulTimings;
  readonly services: DiscoveryServices;
}

/** One query after the other about one name, in the slots that all names share, with pauses where they fail. */
export class QueryLoop {
  /** The clock's milliseconds of the last answer that needed no confirmation, or of the beginning. */
  answeredAt: number;
  readonly backoff: Backoff;
  private readonly host: QueryHost;
  private readonly demand: Demand;
  private readonly slots: QuerySlots;
  private readonly timings: ConsulTimings;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly alarm: Alarm;
  private readonly wakes: WakeLimit;
  private readonly stopped = new AbortController();
  private readonly forgetRenewals: () => void;
  private running: Promise<void> = Promise.resolve();
  /** Calls a second, and what they are counted from. */
  private rate = 0;
  private counted: { calls: number; at: number };

  constructor(host: QueryHost, demand: Demand, { client, slots, timings, services }: LoopSurroundings) {
    const { clock, random } = services;
    this.host = host;
    this.demand = demand;
    this.slots = slots;
    this.timings = timings;
    this.clock = clock;
    this.random = random;
    this.alarm = new Alarm(clock);
    this.backoff = new Backoff({ base: timings.backoffBase, cap: timings.backoffCap, random });
    this.wakes = new WakeLimit(timings.wakeInterval, timings.wakeBurst);
    this.answeredAt = clock.now();
    this.counted = { calls: 0, at: this.answeredAt };
    // It ends a query that waits, and a pause after a refusal is over as well.
    this.forgetRenewals = client.onRenewed(() => {
      this.host.renewed();
      this.alarm.ring();
    });
  }

  start(): void {
    this.running = this.run();
  }

  get signal(): AbortSignal {
    return this.stopped.signal;
  }

  async stop(): Promise<void> {
    this.forgetRenewals();
    this.stopped.abort();
    this.alarm.ring();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this;
    for (;;) {
      const release = await this.slots.acquire(this.applicant(), signal);
      if (release === undefined) return;
      let next = await this.query();
      if (next.confirm && !signal.aborted) next = await this.query();
      release();
      if (signal.aborted) return;
      await this.alarm.wait(
        Math.max(next.pause, this.wakes.next(this.clock.now()), this.host.polls ? this.untilNextPoll() : 0),
      );
    }
  }

  /** What cannot block is asked again after a while. */
  private untilNextPoll(): number {
    return this.timings.poll * (0.8 + 0.4 * this.random());
  }

  private applicant(): Parameters<QuerySlots["acquire"]>[0] {
    const at = this.clock.now();
    const calls = this.demand();
    const elapsed = at - this.counted.at;
    if (elapsed > 0) {
      const recent = (Math.max(0, calls - this.counted.calls) / elapsed) * 1000;
      this.rate = (this.rate + recent) / 2;
      this.counted = { calls, at };
    }
    return { urgent: this.host.isUrgent, rate: this.rate, since: this.answeredAt };
  }

  private async query(): Promise<Next> {
    const { signal } = this;
    try {
      const next = await this.host.query(this.longestWait() * (0.8 + 0.2 * this.random()), signal);
      return signal.aborted ? { pause: 0, confirm: false } : next;
    } catch (error) {
      return signal.aborted ? { pause: 0, confirm: false } : this.failed(error);
    }
  }

  private longestWait(): number {
    const { wait, crowdedWait, rotation } = this.timings;
    const { waiting, count } = this.slots;
    if (waiting === 0) return wait;
    return Math.min(crowdedWait, Math.max(SHORTEST_WAIT, (rotation * count) / waiting));
  }

  private failed(cause: unknown): Next {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    if (error instanceof ConsulError && error.isRenewal) return { pause: 0, confirm: false };
    const pause = this.backoff.next();
    if (error instanceof ConsulError && error.isOverload) {
      this.slots.refused(error.message);
      if (this.clock.now() - this.answeredAt < this.timings.patience) {
        this.host.failed(error, true);
        // How often the agent is asked is up to the slots.
        return { pause: Math.min(pause, OVERLOAD_PAUSE), confirm: false };
      }
    }
    this.host.failed(error, false);
    return { pause, confirm: false };
  }
}
