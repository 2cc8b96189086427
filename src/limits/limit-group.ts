import type { Call, Failure } from "../http/call.ts";
import type { Allowance } from "./allowance.ts";
import type { QuotaLimit } from "./quota/limit.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { ServiceLimit } from "./service-limit.ts";

/** The limits of one direction. A call has to pass all of them, and is charged to all or to none. */
export class LimitGroup {
  local: readonly (RateLimit | QuotaLimit)[] = [];
  /** Those that a rate limit service decides, asked for calls that passed the others. */
  remote: readonly ServiceLimit[] = [];
  /** Of the call that is being decided; kept to be used again. */
  private readonly charged: Allowance[] = [];

  private readonly now: () => number;

  /** `now`: milliseconds of the clock. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** What refuses the call, if anything does. */
  check(call: Call): Failure | undefined | Promise<Failure | undefined> {
    if (this.local.length > 0) {
      const refusal = this.checkLocal(call, this.now());
      if (refusal !== undefined) return refusal;
    }
    return this.remote.length > 0 ? this.checkRemote(call) : undefined;
  }

  private checkLocal(call: Call, now: number): Failure | undefined {
    const { charged } = this;
    charged.length = 0;
    for (const limit of this.local) {
      const allowance = limit.of(call, now);
      if (allowance === undefined) continue;
      if (allowance.ready(now)) {
        limit.notePassed(call, allowance, now);
        charged.push(allowance);
      } else {
        const refusal = limit.refuse(call, allowance, now);
        if (refusal !== undefined) return refusal;
      }
    }
    for (const allowance of charged) allowance.take(now);
    return undefined;
  }

  private checkRemote(call: Call): Failure | undefined | Promise<Failure | undefined> {
    const asked = this.remote.filter((limit) => limit.concerns(call)).map((limit) => limit.ask(call));
    if (asked.length === 0) return undefined;
    return Promise.all(asked).then((answers) => answers.find((answer) => answer !== undefined));
  }
}
