import type { Call, Outcome } from "../http/call.ts";
import type { Filter, Verdict } from "./filter.ts";

/** The filters of a scope, run in the order of their table, without a promise while each answers at once. */
export class FilterChain {
  private readonly requests: readonly Filter[];
  private readonly finishes: readonly Filter[];

  constructor(filters: readonly Filter[]) {
    this.requests = filters.filter((filter) => filter.onRequest !== undefined);
    this.finishes = filters.filter((filter) => filter.onFinish !== undefined);
  }

  /** The first refusal, or undefined where every filter lets the call go on. */
  onRequest(call: Call): Verdict | Promise<Verdict> {
    return this.from(0, call);
  }

  onFinish(call: Call, outcome: Outcome, now: number): void {
    for (const filter of this.finishes) filter.onFinish?.(call, outcome, now);
  }

  private from(start: number, call: Call): Verdict | Promise<Verdict> {
    for (let at = start; at < this.requests.length; at++) {
      const verdict = this.requests[at]?.onRequest?.(call);
      if (verdict === undefined) continue;
      if (!(verdict instanceof Promise)) return this.refused(at, call, verdict);
      return verdict.then((answer) => {
        if (answer !== undefined) return this.refused(at, call, answer);
        // It may have ended in the same turn: whoever let it in now would never hear of its end.
        return call.outcome === undefined ? this.from(at + 1, call) : undefined;
      });
    }
    return undefined;
  }

  private refused(at: number, call: Call, verdict: Verdict): Verdict {
    call.note("refused", this.requests[at]?.name ?? "");
    return verdict;
  }
}
