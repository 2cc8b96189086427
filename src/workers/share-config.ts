import type { Config, UpstreamConfig } from "../config/types.ts";
import type { RateLimitOptions } from "../limits/rate-limit.ts";

/** A worker's part of a configuration: what all of them together may do is divided, what one thread does for all is left out. */
export function shareConfig(config: Config, workers: number): Config {
  const { names, service, upstreams, rateLimits, metrics } = config;
  const { onDemand } = names;
  return {
    ...config,
    // The control thread asks the application how it is, and for its metrics.
    metrics: { ...metrics, application: undefined },
    service: service && { ...service, health: "none" },
    // And the instances of upstreams.
    upstreams: new Map([...upstreams].map(([name, upstream]) => [name, shareUpstream(upstream, workers)])),
    rateLimits: rateLimits.map((limit) => shareLimit(limit, workers)),
    names: { ...names, onDemand: { ...onDemand, rate: onDemand.rate / workers } },
  };
}

function shareUpstream(upstream: UpstreamConfig, workers: number): UpstreamConfig {
  const { limits } = upstream;
  const part = (whole: number | undefined): number | undefined => whole && Math.ceil(whole / workers);
  const shared = limits && {
    ...limits,
    maxConnections: part(limits.maxConnections),
    maxConcurrent: part(limits.maxConcurrent),
    maxQueue: Math.ceil(limits.maxQueue / workers),
  };
  return { ...upstream, limits: shared, healthCheck: undefined };
}

/** Without the store each worker has its part of the sidecar's local share. */
function shareLimit(limit: RateLimitOptions, workers: number): RateLimitOptions {
  const { counted } = limit;
  if (counted.by === "service" || counted.shared === undefined) return limit;
  const shared = { ...counted.shared, localShare: counted.shared.localShare / workers };
  return { ...limit, counted: { ...counted, shared } };
}
