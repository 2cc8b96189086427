import type { Clock } from "../../core/clock.ts";
import type { Call } from "../../http/call.ts";
import { readablePath } from "../../http/call-match.ts";
import { statusName } from "../../http/reason.ts";
import { traceContextOf } from "../../http/trace-context.ts";
import type { Decisions } from "./decisions.ts";
import { type Explanation, explain } from "./explanation.ts";
import { milliseconds } from "./phases.ts";

/** A remembered call in a line. */
export interface ExplainedCall {
  readonly id: string;
  readonly traceId: string | null;
  readonly startedAt: string;
  readonly direction: string;
  readonly upstream: string;
  readonly path: string;
  /** Null while the call is under way. */
  readonly status: string | null;
  readonly reason: string | null;
  readonly durationMs: number | null;
}

/** Calls of one trace that are explained at once. */
const MOST = 20;

/** Milliseconds; less is the grain of the two clocks, more is a wall clock that was set. */
const STEP = 10;

/** Answers to who asks why a call went as it did. Everything is rendered here and now, nothing before. */
export class Explanations {
  readonly decisions: Decisions;
  private readonly clock: Clock;
  /** Keeps ids of one process apart from those of another. */
  private readonly mark: string;
  /** From the clock's milliseconds to those of the wall; kept while it holds, so that a call begins at one time for all who ask. */
  private offset = Number.NEGATIVE_INFINITY;

  constructor(decisions: Decisions, clock: Clock, random: () => number) {
    this.decisions = decisions;
    this.clock = clock;
    this.mark = Math.floor(random() * 36 ** 4)
      .toString(36)
      .padStart(4, "0");
  }

  /** The call's id for people: in the log, and to ask with. */
  idOf(call: Call): string {
    return `${this.mark}-${call.id}`;
  }

  /** The calls with that id, or that trace id; the last one first. */
  find(asked: string): readonly Explanation[] {
    const [mark, number = ""] = asked.split("-", 2);
    if (mark === this.mark && /^[0-9]+$/.test(number)) {
      const found = this.decisions.find(Number(number));
      return found === undefined ? [] : [this.explain(found.call)];
    }
    const trace = asked.toLowerCase();
    const found: Explanation[] = [];
    for (const call of this.decisions.latest()) {
      if (found.length === MOST) break;
      if (traceContextOf(call.head)?.traceId === trace) found.push(this.explain(call));
    }
    return found;
  }

  explain(call: Call): Explanation {
    return explain(this.decisions.recorded(call), this.idOf(call), this.toWall());
  }

  private toWall(): (at: number) => number {
    const offset = this.clock.wall() - this.clock.now();
    if (Math.abs(offset - this.offset) > STEP) this.offset = offset;
    return (at) => at + this.offset;
  }

  /** The last calls, the latest first; `failed`: only those that did not end with OK. */
  latest(count: number, failed: boolean): readonly ExplainedCall[] {
    const calls: ExplainedCall[] = [];
    const wall = this.toWall();
    for (const call of this.decisions.latest()) {
      if (calls.length === count) break;
      const { outcome } = call;
      if (failed && (outcome === undefined || outcome.status === 0)) continue;
      calls.push({
        id: this.idOf(call),
        traceId: traceContextOf(call.head)?.traceId ?? null,
        startedAt: new Date(wall(call.startedAt)).toISOString(),
        direction: call.direction,
        upstream: call.upstream,
        path: readablePath(call.path),
        status: outcome === undefined ? null : statusName(outcome.status),
        reason: outcome?.reason ?? null,
        durationMs: outcome === undefined ? null : milliseconds(call.endedAt - call.startedAt),
      });
    }
    return calls;
  }
}
