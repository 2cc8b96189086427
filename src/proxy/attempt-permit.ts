import { type Call, type Failure, failure } from "../http/call.ts";
import type { Reason } from "../http/reason.ts";
import type { Breakers } from "./breakers.ts";
import type { CircuitBreaker, Permit } from "./circuit-breaker.ts";

/** Failures that say nothing of the upstream. */
const OWN: ReadonlySet<Reason> = new Set(["HEADERS_TOO_LARGE", "QUEUE_FULL", "CONNECT_UNSUPPORTED"]);

/** An attempt's leave to pass a circuit breaker. Given back once: with what became of the attempt, or as cancelled. */
export class AttemptPermit {
  private readonly breakers: Breakers;
  readonly breaker: CircuitBreaker;
  private readonly startedAt: number;
  private permit: Permit | undefined;
  private answeredAt = 0;

  /** `now`: milliseconds of the clock. */
  constructor(breakers: Breakers, path: string, now: number) {
    this.breakers = breakers;
    this.breaker = breakers.for(path);
    this.startedAt = now;
    this.permit = this.breaker.enter();
  }

  /** What an attempt comes to that may not pass; undefined where it may. */
  refusal(upstream: string): Failure | undefined {
    if (this.permit !== undefined) return undefined;
    const detail = `the circuit breaker of ${upstream} is open: ${this.breaker.reason}`;
    const { status } = this.breakers.options;
    return failure("CIRCUIT_OPEN", detail, { unprocessed: true, ...(status === undefined ? {} : { status }) });
  }

  answering(now: number): void {
    this.answeredAt = now;
  }

  /** The attempt is over. `status`: undefined where nobody waited for its answer any more. */
  settle(status: number | undefined, reason: Reason | undefined, now: number): void {
    const { permit } = this;
    if (permit === undefined) return;
    this.permit = undefined;
    const ms = (this.answeredAt === 0 ? now : this.answeredAt) - this.startedAt;
    if (status === undefined || (reason !== undefined && OWN.has(reason))) this.breaker.leave(permit, "cancelled", ms);
    else this.breaker.leave(permit, this.breakers.options.statuses.has(status) ? "failure" : "ok", ms);
  }
}

/** Asks the breaker of a call's method whether an attempt may pass, and records what it said. `now`: milliseconds of the clock. */
export function permitFor(breakers: Breakers, call: Call, now: number): AttemptPermit {
  const permit = new AttemptPermit(breakers, call.path, now);
  const { breaker } = permit;
  call.note("breaker", breaker.word, breaker.share, breaker.threshold);
  return permit;
}
