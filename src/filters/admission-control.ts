import { RollingCount } from "../core/rolling-count.ts";
import { type Call, failure, type Outcome } from "../http/call.ts";
import { type Reason, Status } from "../http/reason.ts";
import type { Filter, Verdict } from "./filter.ts";

/** How much is refused of what an upstream does not accept. Shares are in [0, 1]. */
export interface AdmissionOptions {
  /** While at least this share of the calls of the window was accepted none is refused. */
  readonly acceptRate: number;
  /** Milliseconds. */
  readonly window: number;
  /** Calls in the window below which none is refused. */
  readonly minimumRequests: number;
  /** The share of calls that is refused at most, so that it is noticed when the upstream takes calls again. */
  readonly maxRefused: number;
  /** gRPC statuses of calls that were not accepted. */
  readonly statuses: ReadonlySet<number>;
}

/** What it has seen and does, for people. */
export interface AdmissionState {
  /** Of the window, those that were refused included. */
  readonly requests: number;
  readonly accepted: number;
  /** The share of calls that is refused now. */
  readonly refusing: number;
  /** Since the start. */
  readonly refused: number;
}

/** What this sidecar ends calls for of its own accord: the upstream has neither taken nor refused them. */
const OWN: ReadonlySet<Reason> = new Set([
  "CIRCUIT_OPEN",
  "QUEUE_FULL",
  "HEADERS_TOO_LARGE",
  "CONNECT_UNSUPPORTED",
  "REBALANCE",
]);

/**
 * Client-side throttling (Site Reliability Engineering, chapter 21): of an upstream that accepts too few of its calls a share of
 * them is refused here, which costs it nothing: `(requests - accepted / acceptRate) / (requests + 1)`, where the requests are those
 * of the window, the refused ones included. So it is sent about `1 / acceptRate` times what it accepts, however many calls there are.
 *
 * A call counts once it is over, lest those under way count as not accepted.
 */
export class AdmissionControl {
  private options: AdmissionOptions;
  private readonly time: { now(): number };
  private readonly random: () => number;
  private requests: RollingCount;
  private accepted: RollingCount;
  refused = 0;

  /** `time`: milliseconds of the clock. `random`: uniform in [0, 1). */
  constructor(options: AdmissionOptions, time: { now(): number }, random: () => number) {
    this.options = options;
    this.time = time;
    this.random = random;
    this.requests = new RollingCount(options.window);
    this.accepted = new RollingCount(options.window);
  }

  /** Other settings, from the next call on. What was counted stays, unless it was counted over another window. */
  change(options: AdmissionOptions): void {
    if (options.window !== this.options.window) {
      this.requests = new RollingCount(options.window);
      this.accepted = new RollingCount(options.window);
    }
    this.options = options;
  }

  enter(call: Call): Verdict {
    const now = this.time.now();
    const refusing = this.refusing(now);
    if (refusing === 0) return undefined;
    const { acceptRate } = this.options;
    const [requests, accepted] = [this.requests.sum, this.accepted.sum];
    const isRefused = this.random() < refusing;
    // Above its threshold, as of any limit: a call more than what was accepted allows.
    const allowed = Math.floor(accepted / acceptRate);
    call.note("limit", "admissionControl", isRefused ? requests + 1 : allowed, allowed);
    if (!isRefused) return undefined;
    this.refused++;
    this.requests.add(now);
    return failure(
      "ADMISSION",
      `${call.upstream} has accepted ${accepted} of the last ${requests} calls, less than ${percent(acceptRate)}: ` +
        `${percent(refusing)} of its calls are refused`,
      { unprocessed: true },
    );
  }

  /** A call is over that was sent, or was to be. */
  done({ decidedAt }: Call, { status, reason }: Outcome, now: number): void {
    if (decidedAt === 0 || (reason !== undefined && OWN.has(reason))) return;
    if (status === Status.CANCELLED && reason === undefined) return;
    this.requests.add(now);
    if (!this.options.statuses.has(status)) this.accepted.add(now);
  }

  /** `now`: milliseconds of the clock. */
  state(now: number): AdmissionState {
    const refusing = this.refusing(now);
    return { requests: this.requests.sum, accepted: this.accepted.sum, refusing, refused: this.refused };
  }

  private refusing(now: number): number {
    const { acceptRate, minimumRequests, maxRefused } = this.options;
    this.requests.turn(now);
    this.accepted.turn(now);
    const { sum } = this.requests;
    const unaccepted = sum - this.accepted.sum / acceptRate;
    return unaccepted <= 0 || sum < minimumRequests ? 0 : Math.min(maxRefused, unaccepted / (sum + 1));
  }
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10}%`;
}

/** Refuses calls of an upstream that accepts too few of them. */
export function admissionControl(control: AdmissionControl): Filter {
  return {
    name: "admissionControl",
    onRequest: (call) => control.enter(call),
    onFinish: (call, outcome, now) => control.done(call, outcome, now),
  };
}
