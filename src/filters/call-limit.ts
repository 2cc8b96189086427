import type { Deadline, Deadlines } from "../core/deadlines.ts";
import { FairQueue, type Queued } from "../core/fair-queue.ts";
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
  readonly admit: (verdict: Verdict) => void;
  readonly patience: Deadline;
}

/** Milliseconds after which a caller that is refused may come again: places come free all the time. */
const PUSHBACK = 100;

/**
 * At most so many calls of an upstream at once; further ones wait in a line that is bounded in length and in time, and those beyond
 * are refused. Its limits may change while calls are under way. Callers share the line: places go by turns, first to whoever has the fewest
 * calls under way, and where the line is full the newest call of whoever has most in it makes room for one of a caller that has fewer.
 *
 * Invariants: a call is in `inside`, in `line`, or in neither, and in `places` exactly while it is in `line`; a place that comes free goes to
 * the one whose turn it is.
 */
export class CallLimit {
  options: CallLimitOptions;
  private readonly inside = new Set<Call>();
  private readonly line = new FairQueue<Waiting>();
  private readonly places = new Map<Call, Queued<Waiting>>();
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
    if (this.line.size >= maxQueue) {
      const message = `${maxQueue} calls wait for ${call.upstream}: maxQueue is reached`;
      const rival = this.line.rival(call.caller);
      if (rival === undefined) return this.full(message);
      this.take(rival.call)?.admit(this.full(message));
    }
    return new Promise((admit) => {
      const patience = this.deadlines.arm(this.time.now() + maxQueueTime, () => this.giveUp(call, maxQueueTime));
      this.places.set(call, this.line.add({ call, admit, patience }, call.caller));
    });
  }

  leave(call: Call): void {
    // The call is over; filters behind this one must not see it.
    this.take(call)?.admit(failure("QUEUE_FULL", "the call ended while it waited"));
    if (this.inside.delete(call)) this.fill();
  }

  /** Lets in who waits, as far as there are places: one has come free, or there are more now. */
  fill(): void {
    while (this.inside.size < this.options.maxConcurrent) {
      const next = this.line.shift();
      if (next === undefined) return;
      const { call, admit, patience } = next;
      this.places.delete(call);
      this.deadlines.disarm(patience);
      this.inside.add(call);
      call.note("limit", "maxConcurrent", this.inside.size, this.options.maxConcurrent);
      admit(undefined);
    }
  }

  private giveUp(call: Call, after: number): void {
    this.take(call)?.admit(
      this.full(`the call waited ${after}ms for ${call.upstream} to have fewer under way: maxQueueTime`),
    );
  }

  private full(detail: string): Verdict {
    this.refused++;
    return failure("QUEUE_FULL", detail, { unprocessed: true });
  }

  /** Takes a call out of the line; undefined where it is not in it. */
  private take(call: Call): Waiting | undefined {
    const place = this.places.get(call);
    if (place === undefined) return undefined;
    this.places.delete(call);
    this.line.delete(place);
    this.deadlines.disarm(place.link.item.patience);
    return place.link.item;
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
