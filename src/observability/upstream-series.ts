import { LONGEST_METHOD } from "../http/call-match.ts";
import type { Direction, Origin, Reason } from "../http/reason.ts";
import type { Exemplar } from "./durations.ts";
import { MethodSeries } from "./method-series.ts";
import { MethodMeter } from "./otel/method-meter.ts";

/** How many methods of a process have a label, and what is counted of them; shared by all upstreams. */
export interface MethodBudget {
  readonly max: number;
  used: number;
  /** Whether calls are counted in more detail, see `MethodMeter`. */
  metered: boolean;
}

/** UNIMPLEMENTED: the application does not know the method, so a stranger may have made it up. */
const UNIMPLEMENTED = 12;

/** `/package.Service/Method` in printable ASCII, as long as a sane one; anything else stays without a label. */
const methodPath = /^\/[!-"$-.0->@-~][!-"$->@-~]*\/[!-"$-.0->@-~]+$/;

/**
 * Counts of one upstream in one direction.
 *
 * Invariants:
 * - a method is in `methods` only after the application answered a gRPC call of it with something else than UNIMPLEMENTED;
 * - the `budget` holds one place for each of `methods`, given back by `release`; after that no method is added.
 */
export class UpstreamSeries {
  readonly direction: Direction;
  readonly upstream: string;
  private readonly budget: MethodBudget;
  private readonly methods = new Map<string, MethodSeries>();
  private other: MethodSeries | undefined = undefined;
  private lastPath = "";
  private lastMethod: MethodSeries | undefined = undefined;
  private released = false;

  callsStarted = 0;
  callsFinished = 0;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(direction: Direction, upstream: string, budget: MethodBudget) {
    this.direction = direction;
    this.upstream = upstream;
    this.budget = budget;
  }

  /** A call begins; `finished` follows exactly once. */
  started(): void {
    this.callsStarted++;
  }

  /** What counts a call that begins in more detail, where that is wanted; `label`: its path, of a closed set. */
  meterOf(path: string, label: string | undefined): MethodMeter | undefined {
    if (!this.budget.metered) return undefined;
    const name = label ?? path;
    const known = name === this.lastPath ? this.lastMethod : this.methods.get(name);
    const method = known ?? (label === undefined ? undefined : this.label(label));
    if (method === undefined) this.other ??= this.series("other");
    const series = method ?? this.other;
    if (series === undefined) return undefined;
    series.meter ??= new MethodMeter();
    return series.meter;
  }

  /**
   * A call is over. `path` is its `:path`, `status` its grpc-status. `answered`: false where it ended without a gRPC answer,
   * which says nothing of whether there is such a method. `exemplar`: the call, where it has a trace that is recorded.
   */
  finished(
    path: string,
    status: number,
    reason: Reason | undefined,
    origin: Origin,
    durationMs: number,
    answered = true,
    exemplar?: Exemplar,
  ): void {
    this.callsFinished++;
    let method = this.lastMethod;
    if (method === undefined || path !== this.lastPath) {
      method = this.methods.get(path);
      if (method === undefined && answered && origin === "app" && status !== UNIMPLEMENTED) method = this.label(path);
      if (method === undefined) {
        this.other ??= this.series("other");
        this.other.add(status, reason, origin, durationMs, exemplar);
        return;
      }
      this.lastPath = path;
      this.lastMethod = method;
    }
    method.add(status, reason, origin, durationMs, exemplar);
  }

  /** Octets of a request's body that came from the caller. */
  received(octets: number): void {
    this.bytesReceived += octets;
  }

  /** Octets of an answer's body that go to the caller. */
  sent(octets: number): void {
    this.bytesSent += octets;
  }

  /** Gives the places of its methods back. Calls that are still under way may go on counting here; nobody reads it. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.budget.used -= this.methods.size;
  }

  *all(): IterableIterator<MethodSeries> {
    yield* this.methods.values();
    if (this.other !== undefined) yield this.other;
  }

  private label(path: string): MethodSeries | undefined {
    if (this.released || this.budget.used >= this.budget.max) return undefined;
    if (path.length > LONGEST_METHOD || !methodPath.test(path)) return undefined;
    this.budget.used++;
    const method = this.series(path.slice(1));
    this.methods.set(path, method);
    return method;
  }

  private series(method: string): MethodSeries {
    return new MethodSeries({ direction: this.direction, upstream: this.upstream, method });
  }
}
