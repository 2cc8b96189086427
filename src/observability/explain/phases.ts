import type { Call } from "../../http/call.ts";

/** Where the time of a call went, in milliseconds; undefined for what it did not come to. */
export interface Phases {
  /** From its head to the verdict of the filters. */
  readonly deciding: number | undefined;
  /** From there until the last attempt left: waiting, connecting, and attempts that came before. */
  readonly reaching: number | undefined;
  /** From there to the head of the answer. */
  readonly upstream: number | undefined;
  /** From there to the end of the answer. */
  readonly answering: number | undefined;
}

/** How long each phase of a call took, in milliseconds; undefined where it did not get there. */
export function phasesOf(call: Call): Phases {
  const { startedAt, decidedAt, sentAt, answeredAt, endedAt } = call;
  return {
    deciding: between(startedAt, decidedAt),
    reaching: between(decidedAt, sentAt),
    upstream: between(sentAt, answeredAt),
    answering: between(answeredAt, endedAt),
  };
}

/** Without the noise of floating point: microseconds are as fine as it gets. */
export function milliseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function between(from: number, to: number): number | undefined {
  return from === 0 || to === 0 || to < from ? undefined : milliseconds(to - from);
}
