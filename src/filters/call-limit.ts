import type { Deadline, Deadlines } from "../core/deadlines.ts";
import { type Call, failure } from "../http/call.ts";
import type { Filter, Verdict } from "./filter.ts";

/** `limits` of an upstream. */
export interface CallLimitOptions {
  /** Calls at once. */
  readonly maxConcurrent: number;
  /** Calls that may wait for a place, and for how many milliseconds. */
  readonly maxQueue: number;
  readonly maxQueueTime: number;
}

interface Waiting {
  readonly call: Call;
  readonly since: number;
  readonly admit: (verdict: Verdict) => void;
  readonly patience: Deadline;
}

/** Milliseconds after which a caller that is refused may come again: places come free all the time. */
const PUSHBACK = 100;

/**
 * At most so many calls of an upstream at once; further ones wait in a line that is bounded in length and in time, and those beyond
 * are refused. Its limits may change while calls are under way.
 *
 * Invariants: a call is in `inside`, in `line`, or in neither; a place that comes free goes to the first in the line.
 */
export class CallLimit {
  options: CallLimitOptions;
  private readonly inside = new Set<Call>();
  private readonly line = new Map<Call, Waiting>();
  private readonly deadlines: Deadlines;
  private readonly time: { now(): number };
  refused = 0;

  /** `time`: milliseconds of the clock. */
  constructor(options: CallLimitOptions, deadlines: Deadlines, time: { now(): number }) {
    this.options = options;
    this.deadlines = deadlines;
    this.time = time;
  }

  get current(): number {
    return this.inside.size;
  }

  get waiting(): number {
    return this.line.size;
  }

  enter(call: Call): Verdict | Promise<Verdict> {
    const { maxConcurrent, maxQueue, maxQueueTime } = this.options;
    if (this.inside.size < maxConcurrent) {
      this.inside.add(call);
      call.note("limit", "maxConcurrent", this.inside.size, maxConcurrent);
      return undefined;
    }
    call.note("limit", "maxConcurrent", this.inside.size + 1, maxConcurrent);
    if (maxQueue === 0) {
      this.refused++;
      return failure("CONCURRENCY", `${call.upstream} has ${maxConcurrent} calls under way: maxConcurrent is reached`, {
        unprocessed: true,
        fields: [["grpc-retry-pushback-ms", String(PUSHBACK)]],
      });
    }
    if (this.line.size >= maxQueue)
      return this.full(`${maxQueue} calls wait for ${call.upstream}: maxQueue is reached`);
    const since = this.time.now();
    return new Promise((admit) => {
      const patience = this.deadlines.arm(since + maxQueueTime, () => this.giveUp(call, maxQueueTime));
      this.line.set(call, { call, since, admit, patience });
    });
  }

  leave(call: Call): void {
    const place = this.line.get(call);
    if (place !== undefined) {
      this.take(place);
      // The call is over; filters behind this one must not see it.
      place.admit(failure("QUEUE_FULL", "the call ended while it waited"));
      return;
    }
    if (this.inside.delete(call)) this.fill();
  }

  /** Lets in who waits, as far as there are places: one has come free, or there are more now. */
  fill(): void {
    while (this.inside.size < this.options.maxConcurrent) {
      const [place] = this.line.values();
      if (place === undefined) return;
      this.take(place);
      this.inside.add(place.call);
      place.call.note("limit", "maxConcurrent", this.inside.size, this.options.maxConcurrent);
      place.admit(undefined);
    }
  }

  private giveUp(call: Call, after: number): void {
    const place = this.line.get(call);
    if (place === undefined) return;
    this.take(place);
    place.admit(this.full(`the call waited ${after}ms for ${call.upstream} to have fewer under way: maxQueueTime`));
  }

  private full(detail: string): Verdict {
    this.refused++;
    return failure("QUEUE_FULL", detail, { unprocessed: true });
  }

  private take({ call, patience }: Waiting): void {
    this.line.delete(call);
    this.deadlines.disarm(patience);
  }
}

/** Holds calls of an upstream to a limit of those under way. */
export function callLimit(limit: CallLimit): Filter {
  return {
    name: "callLimit",
    onRequest: (call) => limit.enter(call),
    onFinish: (call) => limit.leave(call),
  };
}
