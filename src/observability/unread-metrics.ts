import { Counter, Gauge, type Registry } from "prom-client";

/** What all connections keep for readers that do not take it, and how many callers had to go for it. */
export interface UnreadFigures {
  readonly octets: number;
  readonly ended: number;
}

/** Registers what is held for readers that do not read; the figures are read on scrape. */
export function registerUnreadMetrics(registry: Registry, figures: UnreadFigures): void {
  const registers = [registry];
  new Gauge({
    name: "outrigger_unread_bytes",
    help: "Octets that wait in streams and in callers' sockets for whoever reads them.",
    registers,
    collect() {
      this.set(figures.octets);
    },
  });
  new Counter({
    name: "outrigger_unread_connections_ended_total",
    help: "Callers' connections that were ended because all together left too much unread, and they the most.",
    registers,
    collect() {
      this.reset();
      this.inc(figures.ended);
    },
  });
}
