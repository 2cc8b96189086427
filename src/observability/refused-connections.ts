import { Counter, type Registry } from "prom-client";

/** Connections of callers that were closed as soon as they had been accepted. */
export class RefusedConnections {
  private readonly refused: Counter<"listener" | "limit">;

  constructor(registry: Registry) {
    this.refused = new Counter({
      name: "outrigger_connections_refused_total",
      help:
        "Connections that a listener closed at once, by the limit: maxConnections and maxPerSource (of the listener: connections.DIRECTION.max and " +
        "maxPerSource), openFiles (of all listeners, by the open files that the process may have), overload (refuseConnections).",
      labelNames: ["listener", "limit"],
      registers: [registry],
    });
  }

  /** `listener`: its name in the configuration. */
  count(listener: string, limit: string): void {
    this.refused.inc({ listener, limit });
  }
}
