import { Counter, Gauge, type Registry } from "prom-client";

/** What the room in which calls wait says of itself. */
export interface WaitingFigures {
  readonly calls: number;
  readonly callers: number;
  readonly gaveWay: number;
}

/** Registers how many calls wait and how their places are shared; the figures are read on scrape. */
export function registerWaitingMetrics(registry: Registry, figures: WaitingFigures): void {
  const registers = [registry];
  new Gauge({
    name: "outrigger_waiting_calls",
    help: "Calls that wait for a connection, a lookup or the start.",
    registers,
    collect() {
      this.set(figures.calls);
    },
  });
  new Gauge({
    name: "outrigger_waiting_callers",
    help: "Callers that have such calls: verified identities, else addresses, of the application connections.",
    registers,
    collect() {
      this.set(figures.callers);
    },
  });
  new Counter({
    name: "outrigger_waiting_gave_way_total",
    help: "Calls that were refused with QUEUE_FULL while they waited, to make room for a caller that had fewer waiting.",
    registers,
    collect() {
      this.reset();
      this.inc(figures.gaveWay);
    },
  });
}
