import { Counter, Gauge, type Registry } from "prom-client";
import type { Tracer } from "./tracer.ts";

/** Registers what became of spans, and whether the application passes contexts on. */
export function registerTracingMetrics(registry: Registry, tracer: Tracer): void {
  const registers = [registry];
  new Counter({
    name: "outrigger_spans_total",
    help: "Spans by what became of them: exported, failed (the collector did not take them), dropped (too many waited).",
    labelNames: ["result"],
    registers,
    collect() {
      this.reset();
      this.inc({ result: "exported" }, tracer.counts.exported);
      this.inc({ result: "failed" }, tracer.counts.failed);
      this.inc({ result: "dropped" }, tracer.queue.dropped);
    },
  });
  new Gauge({
    name: "outrigger_spans_waiting",
    help: "Spans that wait to be handed to the exporter.",
    registers,
    collect() {
      this.set(tracer.queue.length);
    },
  });
  new Counter({
    name: "outrigger_trace_context_calls_total",
    help: "The application's own calls during traced ones, by whether they had a trace context: kept or lost.",
    labelNames: ["context"],
    registers,
    collect() {
      this.reset();
      this.inc({ context: "kept" }, tracer.propagation.kept);
      this.inc({ context: "lost" }, tracer.propagation.lost);
    },
  });
}
