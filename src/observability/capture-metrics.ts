import { Counter, Gauge, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";

/** What is asked of passed-on connections when they are read. */
export interface CaptureView {
  relayed(): Iterable<{
    readonly direction: Direction;
    readonly open: number;
    readonly sent: number;
    readonly received: number;
  }>;
}

/** Captured connections, by what became of them and what they spoke. */
export class CaptureMetrics {
  private readonly registry: Registry;
  private readonly counts = new Map<string, { readonly labels: Record<string, string>; value: number }>();

  constructor(registry: Registry) {
    this.registry = registry;
    const { counts } = this;
    new Counter({
      name: "outrigger_captured_connections_total",
      help: "Redirected connections, by what became of them and what the client spoke.",
      labelNames: ["direction", "result", "protocol"],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of counts.values()) this.inc(labels, value);
      },
    });
  }

  count(direction: Direction, result: string, spoken: string): void {
    const protocol = spoken === "unknown yet" ? "unknown" : spoken;
    const key = `${direction} ${result} ${protocol}`;
    const known = this.counts.get(key);
    if (known === undefined) this.counts.set(key, { labels: { direction, result, protocol }, value: 1 });
    else known.value++;
  }

  /** Adds the families that are read from a view; called once. */
  watch(view: CaptureView): void {
    const registers = [this.registry];
    new Gauge({
      name: "outrigger_relayed_connections",
      help: "Open connections that are passed on octet by octet.",
      labelNames: ["direction"],
      registers,
      collect() {
        for (const { direction, open } of view.relayed()) this.set({ direction }, open);
      },
    });
    new Counter({
      name: "outrigger_relayed_bytes_total",
      help: "Octets of passed-on connections, sent on to where they were going and received back.",
      labelNames: ["direction", "way"],
      registers,
      collect() {
        this.reset();
        for (const { direction, sent, received } of view.relayed()) {
          this.inc({ direction, way: "sent" }, sent);
          this.inc({ direction, way: "received" }, received);
        }
      },
    });
  }
}
