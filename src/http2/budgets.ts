import { ConnectionError, ErrorCode } from "./errors.ts";
import type { BudgetName, Http2Limits } from "./limits.ts";

/**
 * Counts what a peer makes us do for nothing. A token bucket a kind, filled lazily.
 *
 * Invariant: a budget never holds more than its burst.
 */
export class Budgets {
  private readonly limits: Http2Limits["budgets"];
  private readonly left = new Map<BudgetName, { tokens: number; at: number }>();

  constructor(limits: Http2Limits["budgets"]) {
    this.limits = limits;
  }

  /** Takes one token; throws ConnectionError(ENHANCE_YOUR_CALM) where none is left. `now` in milliseconds. */
  spend(name: BudgetName, now: number): void {
    const { burst, rate } = this.limits[name];
    let state = this.left.get(name);
    if (state === undefined) {
      state = { tokens: burst, at: now };
      this.left.set(name, state);
    }
    if (state.tokens < 1) {
      state.tokens = Math.min(burst, state.tokens + ((now - state.at) / 1000) * rate);
      state.at = now;
      if (state.tokens < 1)
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `more ${name} than ${burst} at once and ${rate}/s`);
    }
    state.tokens -= 1;
  }
}
