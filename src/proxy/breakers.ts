import type { Clock } from "../core/clock.ts";
import { LONGEST_METHOD } from "../http/call-match.ts";
import { type BreakerListener, type BreakerOptions, CircuitBreaker } from "./circuit-breaker.ts";

/** Methods with a breaker of their own; the rest share one. A breaker takes some 8 KiB. */
const MAX_METHODS = 200;

/** `circuitBreaker` of an upstream. */
export interface BreakersOptions extends BreakerOptions {
  /** One for all calls of the upstream, or one for each method. */
  readonly scope: "upstream" | "method";
  /** gRPC statuses that are failures. */
  readonly statuses: ReadonlySet<number>;
  /** What callers get while it is open, instead of UNAVAILABLE. */
  readonly status: number | undefined;
}

/** The circuit breakers of an upstream. Those of methods are made when the method is first called. */
export class Breakers {
  /** Of others than these, `statuses` and `status` may differ. */
  options: BreakersOptions;
  private readonly clock: Clock;
  private readonly listener: (method: string) => BreakerListener;
  private readonly upstream: string;
  private readonly byMethod = new Map<string, CircuitBreaker>();

  /** `listener`: hears of the breaker of a method, or of that of all, which is called "". `upstream`: its name, for people. */
  constructor(options: BreakersOptions, clock: Clock, listener: (method: string) => BreakerListener, upstream = "") {
    this.options = options;
    this.clock = clock;
    this.listener = listener;
    this.upstream = upstream;
    if (options.scope === "upstream") this.make("");
  }

  /** The breaker of calls of a `:path`. */
  for(path: string): CircuitBreaker {
    const name = this.options.scope === "upstream" ? "" : path;
    const isNamed = this.byMethod.size < MAX_METHODS && name.length <= LONGEST_METHOD;
    return this.byMethod.get(name) ?? this.make(isNamed ? name : "other");
  }

  /** Method, or "", and breaker. */
  all(): IterableIterator<[string, CircuitBreaker]> {
    return this.byMethod.entries();
  }

  close(): void {
    for (const breaker of this.byMethod.values()) breaker.close();
  }

  private make(name: string): CircuitBreaker {
    const known = this.byMethod.get(name);
    if (known !== undefined) return known;
    const breaker = new CircuitBreaker(
      this.options,
      this.clock,
      this.listener(name),
      name === "" ? this.upstream : `${this.upstream} ${name}`,
    );
    this.byMethod.set(name, breaker);
    return breaker;
  }
}
