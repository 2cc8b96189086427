import { Counter, type Registry } from "prom-client";
import type { Direction } from "../http/reason.ts";

/** Handshakes, and connections without one. */
export class TlsMetrics {
  private readonly handshakes: Counter<"direction" | "result">;
  private readonly accepted: Counter<"transport">;

  constructor(registry: Registry) {
    this.handshakes = new Counter({
      name: "outrigger_tls_handshakes_total",
      help: "TLS handshakes between sidecars, by what they came to.",
      labelNames: ["direction", "result"],
      registers: [registry],
    });
    this.accepted = new Counter({
      name: "outrigger_inbound_connections_opened_total",
      help: "Connections that came in where mtls.mode is permissive or strict: strict is safe once plaintext stands still.",
      labelNames: ["transport"],
      registers: [registry],
    });
  }

  /** `result`: what became of a handshake, or that there was none. */
  count(direction: Direction, result: string): void {
    if (direction === "inbound") {
      if (result === "plaintext") {
        this.accepted.inc({ transport: "plaintext" });
        return;
      }
      if (result === "ok" || result === "resumed") this.accepted.inc({ transport: "tls" });
    }
    this.handshakes.inc({ direction, result });
  }
}
