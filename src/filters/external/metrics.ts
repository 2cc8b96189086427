import { Counter, Gauge, type Registry } from "prom-client";
import type { ExternalAuthorization } from "./external-authorization.ts";

/** Registers what came of asking an authorization service; there are no series where none is configured. */
export function registerExternalMetrics(registry: Registry, external: ExternalAuthorization): void {
  const registers = [registry];
  new Counter({
    name: "outrigger_authorization_service_calls_total",
    help:
      "Calls that the authorization service was asked about: allowed, denied, failedAllowed or failedDenied (it did not answer), abandoned; " +
      "shadowAllowed, shadowDenied, shadowFailed where its answer changes nothing.",
    labelNames: ["result"],
    registers,
    collect() {
      this.reset();
      if (external.options === undefined) return;
      for (const [result, count] of Object.entries(external.counts)) this.inc({ result }, count);
    },
  });
  new Gauge({
    name: "outrigger_authorization_service_down",
    help: "Whether the authorization service did not answer when it was last asked: 1 or 0.",
    registers,
    collect() {
      this.reset();
      if (external.options !== undefined) this.set(external.failing === undefined ? 0 : 1);
    },
  });
  new Gauge({
    name: "outrigger_authorization_service_pending",
    help: "Calls that wait for the authorization service.",
    registers,
    collect() {
      this.reset();
      if (external.options !== undefined) this.set(external.pending);
    },
  });
}
