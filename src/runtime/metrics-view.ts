import type { MetricsView } from "../observability/mesh-gauges.ts";
import type { Runtime } from "./runtime.ts";

/** What the gauges read of a runtime when somebody scrapes. */
export function runtimeMetrics(runtime: Runtime): MetricsView {
  return {
    *endpoints() {
      for (const cluster of runtime.upstreams.clusters()) {
        for (const [state, count] of cluster.conditions()) yield { upstream: cluster.name, state, count };
      }
    },
    *connections() {
      const { application, listeners, upstreams } = runtime;
      if (application !== undefined && listeners.inbound !== undefined)
        yield {
          direction: "inbound",
          upstream: application.target.name,
          count: listeners.inbound.acceptor.connectionCount + listeners.inbound.side.connectionCount,
        };
      for (const cluster of upstreams.clusters()) {
        let count = 0;
        for (const { pool } of cluster.endpoints) count += pool.size;
        yield { direction: "outbound", upstream: cluster.name, count };
      }
    },
    *balancing() {
      for (const cluster of runtime.upstreams.clusters()) {
        const { name: upstream, panic, skew, ejections, overLimit } = cluster;
        const { byCause, suppressed } = ejections;
        yield { upstream, panic, skew, ejections: byCause, suppressed, overLimit };
      }
    },
    *streams() {
      const { listeners, upstreams } = runtime;
      if (listeners.inbound !== undefined) {
        const { acceptor, side } = listeners.inbound;
        yield { direction: "inbound", upstream: "", count: acceptor.activeStreams + side.activeCalls };
      }
      let outbound = 0;
      for (const { acceptor, side } of listeners.outbound) outbound += acceptor.activeStreams + side.activeCalls;
      yield { direction: "outbound", upstream: "", count: outbound };
      for (const cluster of upstreams.clusters())
        yield { direction: "outbound", upstream: cluster.name, count: cluster.activeCalls };
    },
    *discoveryChanges() {
      for (const cluster of runtime.upstreams.clusters()) yield { upstream: cluster.name, count: cluster.changes };
    },
    configVersion: () => runtime.version,
    lastReloadSucceeded: () => runtime.lastRefusal === undefined,
    *discoveryAges() {
      const now = runtime.services.clock.wall();
      for (const cluster of runtime.upstreams.clusters()) {
        const state = cluster.state.current;
        if (state.kind === "known")
          yield { upstream: cluster.name, seconds: Math.max(0, now - state.updatedAt) / 1000 };
      }
    },
    *inboundTransports() {
      const { inbound } = runtime.listeners;
      if (inbound === undefined) return;
      const all = [...inbound.acceptor.connections, ...inbound.side.connections];
      const secured = all.filter(({ caller }) => caller !== undefined).length;
      yield { transport: "tls", count: secured };
      yield { transport: "plaintext", count: all.length - secured };
    },
    certificateExpiry() {
      const { notAfter } = runtime.mtls;
      return notAfter === undefined ? undefined : (notAfter - runtime.services.clock.wall()) / 1000;
    },
  };
}
