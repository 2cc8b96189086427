import type { Call, Failure, Outcome, Place } from "../http/call.ts";
import { isHealthCheck, LONGEST_METHOD, matchMethod } from "../http/call-match.ts";
import { Status } from "../http/reason.ts";
import { AdaptiveLimit, type AdaptiveOptions } from "./adaptive-limit.ts";
import { overLimit } from "./refusal.ts";

/** `adaptiveConcurrency` of an upstream or of the service. */
export interface ConcurrencyOptions extends AdaptiveOptions {
  /** One limit for all calls, or one a method. */
  readonly per: "all" | "method";
  /** Patterns of methods that are neither counted nor refused. */
  readonly exempt: readonly string[];
  /** The metadata field that says how much a call matters; undefined: all matter the same. */
  readonly criticality: string | undefined;
}

/** Methods that have a limit of their own; those beyond share one. A caller can make methods up. */
const MOST_METHODS = 200;

/** Which part of the limit calls may use, by what they say of themselves; others are in between. */
const CRITICAL = 1;
const ORDINARY = 0.9;
const SHEDDABLE = 0.7;

/** What an application says when it is in trouble; how fast it says so is no measure of its work. */
const troubled: ReadonlySet<number> = new Set([Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.CANCELLED]);

/** How many calls of an upstream, or of the application, may be under way at once: learned, and off while not configured. */
export class ConcurrencyLimit {
  readonly name: string;
  private readonly now: () => number;
  private readonly random: () => number;
  private current: ConcurrencyOptions | undefined = undefined;
  private exempt: readonly ((path: string) => boolean)[] = [];
  private readonly byMethod = new Map<string, MethodLimit>();
  private all: MethodLimit | undefined = undefined;

  constructor(name: string, now: () => number, random: () => number) {
    this.name = name;
    this.now = now;
    this.random = random;
  }

  get options(): ConcurrencyOptions | undefined {
    return this.current;
  }

  /** Other settings, from the next call on. What was learned stays, unless it is learned by other parts of the calls. */
  change(options: ConcurrencyOptions | undefined): void {
    if (options?.per !== this.current?.per) this.byMethod.clear();
    if (options === undefined) this.all = undefined;
    this.current = options;
    this.exempt = (options?.exempt ?? []).map(matchMethod);
    if (options !== undefined) for (const { limit } of this.limits()) limit.options = options;
  }

  /** What refuses a call; otherwise it has its place, and gives it back by `call.place`. */
  enter(call: Call): Failure | undefined {
    const options = this.current;
    if (options === undefined || !this.concerns(call.path)) return undefined;
    const { limit, method } = this.of(call, options);
    const share = options.criticality === undefined ? CRITICAL : shareOf(call.head.get(options.criticality));
    const most = Math.max(1, Math.floor(limit.limit * share));
    if (limit.inFlight < most) {
      limit.enter();
      call.place = limit;
      call.note("limit", "adaptiveConcurrency", limit.inFlight, most);
      return undefined;
    }
    limit.refused++;
    call.note("limit", "adaptiveConcurrency", limit.inFlight + 1, most);
    const whose = method === undefined ? this.name : `${method} of ${this.name}`;
    const part = share < 1 ? `, of which such calls may use ${most}` : "";
    return overLimit({
      reason: "CONCURRENCY",
      detail: `${limit.inFlight} calls of ${whose} are under way; ${limit.explain()}${part}`,
      wait: limit.latency ?? 1,
      elsewhere: true,
    });
  }

  /** Every limit that there is, and of which method it is; undefined: of all. */
  *limits(): IterableIterator<MethodLimit> {
    if (this.all !== undefined) yield this.all;
    yield* this.byMethod.values();
  }

  private concerns(path: string): boolean {
    // Health checks tell others whether to send calls here: they come through.
    if (isHealthCheck(path)) return false;
    for (const matches of this.exempt) if (matches(path)) return false;
    return true;
  }

  private of({ path }: Call, options: ConcurrencyOptions): MethodLimit {
    if (options.per === "method") {
      const known = this.byMethod.get(path);
      if (known !== undefined) return known;
      if (this.byMethod.size < MOST_METHODS && path.length <= LONGEST_METHOD) {
        const made = { method: path.slice(1), limit: new CallLimit(options, this.random, this.now) };
        this.byMethod.set(path, made);
        return made;
      }
    }
    this.all ??= { method: undefined, limit: new CallLimit(options, this.random, this.now) };
    return this.all;
  }
}

/** The limit of one method, or of all that have none of their own. */
export interface MethodLimit {
  readonly method: string | undefined;
  readonly limit: CallLimit;
}

/** A learned limit as the place of calls. */
class CallLimit extends AdaptiveLimit implements Place {
  private readonly now: () => number;

  constructor(options: AdaptiveOptions, random: () => number, now: () => number) {
    super(options, random);
    this.now = now;
  }

  giveBack(call: Call, { status, origin, reason }: Outcome): void {
    const now = this.now();
    const late = reason === "DEADLINE_CLIENT" || reason === "DEADLINE_POLICY";
    const telling = late || (origin === "app" && reason === undefined && !troubled.has(status));
    this.leave(now, telling ? now - call.startedAt : undefined, late);
  }
}

function shareOf(criticality: string | undefined): number {
  if (criticality === "critical") return CRITICAL;
  return criticality === "sheddable" ? SHEDDABLE : ORDINARY;
}
