import type { Logger } from "pino";
import type { Deadline, Deadlines } from "../core/deadlines.ts";
import { type Call, type Failure, failure } from "../http/call.ts";
import { type CallMatch, compileMatch } from "../http/call-match.ts";
import { type Direction, statusName } from "../http/reason.ts";
import type { Filter, Verdict } from "./filter.ts";

/** A fault that is injected on purpose. */
export interface FaultOptions {
  readonly name: string;
  readonly direction: Direction;
  readonly match: CallMatch;
  /** Share of the calls that match. */
  readonly percentage: number;
  /** Milliseconds. */
  readonly delay: number | undefined;
  /** A gRPC status. */
  readonly abort: number | undefined;
}

interface Armed {
  readonly options: FaultOptions;
  readonly matches: (call: Call) => boolean;
  delayed: number;
  aborted: number;
}

/**
 * Faults that are injected on purpose, for game days: the first of the list that matches a call, and whose dice fall so, delays it,
 * ends it, or both. Counts are kept by name over reloads.
 */
export class Faults {
  private readonly deadlines: Deadlines;
  private readonly time: { now(): number };
  private readonly random: () => number;
  private readonly log: Logger;
  private armed: readonly Armed[] = [];
  private readonly waiting = new Map<Call, Deadline>();

  /** `time`: milliseconds of the clock. `random`: uniform in [0, 1). */
  constructor(deadlines: Deadlines, time: { now(): number }, random: () => number, log: Logger) {
    this.deadlines = deadlines;
    this.time = time;
    this.random = random;
    this.log = log;
  }

  /** In force from the next call on. */
  apply(faults: readonly FaultOptions[]): void {
    const before = new Map(this.armed.map((fault) => [fault.options.name, fault]));
    this.armed = faults.map((options) => {
      const { delayed = 0, aborted = 0 } = before.get(options.name) ?? {};
      return { options, matches: compileMatch(options.match), delayed, aborted };
    });
    if (faults.length > 0 && before.size === 0) this.log.warn({ faults: faults.length }, "faults are injected");
    else if (faults.length === 0 && before.size > 0) this.log.warn("faults are no longer injected");
  }

  /** What each has done. */
  all(): Iterable<{ readonly options: FaultOptions; readonly delayed: number; readonly aborted: number }> {
    return this.armed;
  }

  onRequest(call: Call): Verdict | Promise<Verdict> {
    for (const fault of this.armed) {
      const { direction, percentage } = fault.options;
      if (direction !== call.direction || !fault.matches(call) || this.random() >= percentage) continue;
      return this.inject(call, fault);
    }
    return undefined;
  }

  /** The call is over, whether or not it is still being delayed. */
  onFinish(call: Call): void {
    if (this.waiting.size === 0) return;
    const deadline = this.waiting.get(call);
    if (deadline !== undefined) this.deadlines.disarm(deadline);
    this.waiting.delete(call);
  }

  private inject(call: Call, fault: Armed): Verdict | Promise<Verdict> {
    const { name, delay, abort } = fault.options;
    const { direction, upstream, path } = call;
    this.log.info(
      { fault: name, direction, upstream, path, delay, abort: abort && statusName(abort) },
      "a fault is injected",
    );
    let verdict: Failure | undefined;
    if (abort !== undefined) {
      fault.aborted++;
      verdict = failure("FAULT_INJECTED", `the fault ${name} ended the call on purpose`, { status: abort });
    }
    if (delay === undefined) return verdict;
    fault.delayed++;
    return new Promise((resolve) => {
      const due = this.time.now() + delay;
      this.waiting.set(
        call,
        this.deadlines.arm(due, () => {
          this.waiting.delete(call);
          resolve(verdict);
        }),
      );
    });
  }
}

/** Injects the faults of a configuration. */
export function faultInjection(faults: Faults): Filter {
  return {
    name: "faults",
    onRequest: (call) => faults.onRequest(call),
    onFinish: (call) => faults.onFinish(call),
  };
}
