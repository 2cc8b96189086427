import { Counter, Gauge, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";
import type { Wall } from "./durations.ts";
import { familyHead } from "./exposition.ts";
import { type MethodBudget, UpstreamSeries } from "./upstream-series.ts";

/** Which names there are: our own, or those of OpenTelemetry and gRPC besides. */
export type MetricNames = "outrigger" | "otel";

/** Methods with a label of their own in a process: what strangers can make grow. */
const MAX_METHODS = 500;

const sides = [
  ["inbound", "server"],
  ["outbound", "client"],
] as const;

/** What counts as an error of a server in the semantic conventions; to a client every status but OK is one. */
const serverErrors: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

function isError(side: "server" | "client", status: string): boolean {
  return side === "client" ? status !== "OK" : serverErrors.has(status);
}

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
  private readonly budget: MethodBudget = { max: MAX_METHODS, used: 0 };
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

  /**
   * The same durations by status, under the names and labels of OpenTelemetry's semantic conventions for RPC and of gRPC's own
   * metrics (gRFC A66), as Prometheus writes them.
   */
  private renderOtel(wall: Wall | undefined): string {
    let text = "";
    for (const [direction, side] of sides) {
      const [rpcName, grpcName] = [`rpc_${side}_call_duration_seconds`, `grpc_${side}_call_duration_seconds`];
      let rpc = familyHead(rpcName, "histogram", "Time from a call's head to its end.");
      let grpc = familyHead(grpcName, "histogram", "Time from a call's head to its end.");
      for (const series of this.series[direction].values()) {
        const peer: Record<string, string> = side === "client" ? { server_address: series.upstream } : {};
        const target: Record<string, string> = side === "client" ? { grpc_target: series.upstream } : {};
        for (const method of series.all()) {
          const rpcLabels = (status: string): Record<string, string> => ({
            rpc_system_name: "grpc",
            rpc_method: method.method,
            rpc_response_status_code: status,
            ...(isError(side, status) ? { error_type: status } : {}),
            ...peer,
          });
          const grpcLabels = (grpc_status: string): Record<string, string> => ({
            grpc_method: method.method,
            grpc_status,
            ...target,
          });
          rpc += method.renderByStatus(rpcName, rpcLabels, wall);
          grpc += method.renderByStatus(grpcName, grpcLabels, wall);
        }
      }
      text += `\n${rpc}\n${grpc}`;
    }
    return text;
  }

  private *all(): IterableIterator<UpstreamSeries> {
    yield* this.series.inbound.values();
    yield* this.series.outbound.values();
  }
}
