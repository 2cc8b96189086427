import { registerExternalMetrics } from "../filters/external/metrics.ts";
import { registerBandwidthMetrics } from "../limits/bandwidth/metrics.ts";
import { registerConcurrencyMetrics } from "../limits/concurrency-metrics.ts";
import { registerLimitMetrics } from "../limits/limit-metrics.ts";
import { registerOverloadMetrics } from "../limits/overload/metrics.ts";
import { registerConnectionMetrics } from "../observability/connection-metrics.ts";
import { registerIntentionMetrics } from "./intention-metrics.ts";
import { runtimeMetrics } from "./metrics-view.ts";
import type { Runtime } from "./runtime.ts";
import { registerTokenMetrics } from "./token-metrics.ts";
import {
  registerAuthorizationMetrics,
  registerFaultMetrics,
  registerMirrorMetrics,
  registerPolicyMetrics,
} from "./upstreams/policy-metrics.ts";
import { registerRoutingMetrics } from "./upstreams/routing-metrics.ts";

/** Has every part of a runtime counted; what is counted is read of it on scrape. */
export function registerRuntimeMetrics(runtime: Runtime): void {
  const { services, upstreams, capture, tokenKeys, intentions } = runtime;
  const { metrics, clock, rateLimits, concurrency } = services;
  metrics.watch(runtimeMetrics(runtime));
  metrics.captured.watch(capture);
  registerConnectionMetrics(metrics.registry, {
    listeners: () => runtime.callListeners(),
    asked: (direction) => services.callerConnections[direction].lives.asked,
    *retired() {
      for (const { name, lives } of upstreams.clusters()) yield { upstream: name, by: lives.asked };
    },
  });
  registerLimitMetrics(metrics.registry, rateLimits, clock);
  registerBandwidthMetrics(metrics.registry, services.bandwidth);
  registerConcurrencyMetrics(metrics.registry, concurrency);
  registerOverloadMetrics(metrics.registry, services.overload);
  registerPolicyMetrics(metrics.registry, () => upstreams.policies, clock);
  registerRoutingMetrics(metrics.registry, () => upstreams.consulChains(), clock);
  registerAuthorizationMetrics(metrics.registry, services.authorization);
  registerExternalMetrics(metrics.registry, services.external);
  registerTokenMetrics(metrics.registry, services.tokens, tokenKeys, clock);
  registerIntentionMetrics(metrics.registry, intentions, clock);
  registerFaultMetrics(metrics.registry, services);
  registerMirrorMetrics(metrics.registry, () => upstreams.routing.allMirrors());
}
