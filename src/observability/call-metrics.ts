import { Counter, Gauge, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";
import type { Wall } from "./durations.ts";
import { familyHead } from "./exposition.ts";
import { renderOtel } from "./otel/families.ts";
import { type MethodBudget, UpstreamSeries } from "./upstream-series.ts";

/** Which names there are: our own, or those of OpenTelemetry and gRPC besides. */
export type MetricNames = "outrigger" | "otel";

/** Methods with a label of their own in a process: what strangers can make grow. */
const MAX_METHODS = 500;

const HANDLED = "outrigger_calls_handled_total";
const DURATION = "outrigger_call_duration_seconds";

/**
 * What is counted of calls. Upstreams are those that the configuration names or that were resolved; calls that reached none
 * are counted under the empty name.
 *
 * The small families are prom-client's, filled when it asks. Handled calls and durations have a series a method, thousands
 * at their bound, and are written by `render`: 9,500 lines take prom-client 8 to 13 ms in one go and this 2.
 */
export class CallMetrics {
  private readonly budget: MethodBudget = { max: MAX_METHODS, used: 0, metered: false };
  private readonly series: Readonly<Record<Direction, Map<string, UpstreamSeries>>> = {
    inbound: new Map(),
    outbound: new Map(),
  };

  constructor(registry: Registry) {
    const all = (): IterableIterator<UpstreamSeries> => this.all();
    const registers = [registry];
    const labelNames = ["direction", "upstream"] as const;
    new Counter({
      name: "outrigger_calls_started_total",
      help: "Calls that came in, counted when their head was read.",
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { direction, upstream, callsStarted } of all()) this.inc({ direction, upstream }, callsStarted);
      },
    });
    new Gauge({
      name: "outrigger_calls_in_flight",
      help: "Calls that have begun and are not over.",
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { direction, upstream, callsStarted, callsFinished } of all())
          this.set({ direction, upstream }, callsStarted - callsFinished);
      },
    });
    new Counter({
      name: "outrigger_bytes_total",
      help: "Octets of bodies, received from callers and sent to them.",
      labelNames: ["direction", "upstream", "way"],
      registers,
      collect() {
        this.reset();
        for (const { direction, upstream, bytesReceived, bytesSent } of all()) {
          this.inc({ direction, upstream, way: "received" }, bytesReceived);
          this.inc({ direction, upstream, way: "sent" }, bytesSent);
        }
      },
    });
  }

  /** The counts of an upstream in a direction; the same object each time until it is freed. */
  upstream(direction: Direction, upstream: string): UpstreamSeries {
    const known = this.series[direction].get(upstream);
    if (known !== undefined) return known;
    const made = new UpstreamSeries(direction, upstream, this.budget);
    this.series[direction].set(upstream, made);
    return made;
  }

  /** Forgets an upstream and its methods. What calls under way still report of it is lost. */
  free(direction: Direction, upstream: string): void {
    this.series[direction].get(upstream)?.release();
    this.series[direction].delete(upstream);
  }

  /** The families that have a series a method, in Prometheus' text format; with exemplars where there is `wall`. */
  render(names: MetricNames = "outrigger", wall?: Wall): string {
    let handled = familyHead(HANDLED, "counter", "Calls that are over, by what became of them.");
    let durations = familyHead(DURATION, "histogram", "Time from a call's head to its end.");
    for (const upstream of this.all()) {
      for (const method of upstream.all()) {
        handled += method.renderHandled(HANDLED);
        durations += method.renderDurations(DURATION, wall);
      }
    }
    return `${handled}\n${durations}${names === "otel" ? this.renderOtel(wall) : ""}`;
  }

  private renderOtel(wall: Wall | undefined): string {
    const { inbound, outbound } = this.series;
    return `\n${renderOtel("server", inbound.values(), wall)}\n${renderOtel("client", outbound.values(), wall)}`;
  }

  /** Whether what only `render("otel")` says is counted, of calls that begin from now on. */
  set metered(wanted: boolean) {
    this.budget.metered = wanted;
  }

  private *all(): IterableIterator<UpstreamSeries> {
    yield* this.series.inbound.values();
    yield* this.series.outbound.values();
  }
}
