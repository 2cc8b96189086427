import type { CallersConfig, Config, UpstreamConfig } from "../config/types.ts";
import type { RateLimitOptions } from "../limits/rate-limit.ts";

/** Which of how many workers, from 0 on. */
export interface Place {
  readonly at: number;
  readonly of: number;
}

/** A worker's part of a configuration: what all of them together may do is divided, what one thread does for all is left out. */
export function shareConfig(config: Config, place: Place): Config {
  const { names, service, upstreams, rateLimits, metrics, connections } = config;
  const { onDemand } = names;
  return {
    ...config,
    // The control thread asks the application how it is, and for its metrics.
    metrics: { ...metrics, application: undefined },
    service: service && { ...service, health: "none", bandwidth: shareBandwidth(service.bandwidth, place) },
    // And the instances of upstreams.
    upstreams: new Map([...upstreams].map(([name, upstream]) => [name, shareUpstream(upstream, place)])),
    connections: {
      inbound: shareCallers(connections.inbound, place),
      outbound: shareCallers(connections.outbound, place),
    },
    rateLimits: rateLimits.map((limit) => shareLimit(limit, place.of)),
    names: { ...names, onDemand: { ...onDemand, rate: onDemand.rate / place.of } },
  };
}

/** The parts of a limit come to the limit; only where it is lower than the number of workers each has one all the same. */
function part(whole: number, { at, of }: Place): number {
  return whole === 0 ? 0 : Math.max(1, Math.floor(whole / of) + (at < whole % of ? 1 : 0));
}

/** The system spreads connections evenly, also those of one address. */
function shareCallers(callers: CallersConfig, place: Place): CallersConfig {
  const { max, maxPerSource } = callers;
  return { ...callers, max: part(max, place), maxPerSource: maxPerSource && part(maxPerSource, place) };
}

function shareUpstream(upstream: UpstreamConfig, place: Place): UpstreamConfig {
  const { limits } = upstream;
  const shared = limits && {
    ...limits,
    maxConnections: limits.maxConnections && part(limits.maxConnections, place),
    maxConcurrent: limits.maxConcurrent && part(limits.maxConcurrent, place),
    maxQueue: part(limits.maxQueue, place),
  };
  const bandwidth = shareBandwidth(upstream.bandwidth, place);
  return { ...upstream, limits: shared, bandwidth, healthCheck: undefined };
}

function shareBandwidth(bandwidth: UpstreamConfig["bandwidth"], place: Place): UpstreamConfig["bandwidth"] {
  return (
    bandwidth && {
      request: bandwidth.request && part(bandwidth.request, place),
      response: bandwidth.response && part(bandwidth.response, place),
      burst: bandwidth.burst && part(bandwidth.burst, place),
    }
  );
}

/** Without the store each worker has its part of the sidecar's local share. */
function shareLimit(limit: RateLimitOptions, workers: number): RateLimitOptions {
  const { counted } = limit;
  if (counted.by === "service" || counted.by === "quota" || counted.shared === undefined) return limit;
  const shared = { ...counted.shared, localShare: counted.shared.localShare / workers };
  return { ...limit, counted: { ...counted, shared } };
}
