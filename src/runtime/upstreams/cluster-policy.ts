import { balancers } from "../../cluster/balancers/index.ts";
import type { AffinitySettings } from "../../cluster/choice/affinity.ts";
import { type ClusterPolicy, defaultPolicy } from "../../cluster/policy.ts";
import type { UpstreamConfig } from "../../config/types.ts";

const aggressions = { linear: 1, early: 2, late: 0.5 } as const;

function affinityOf({ metadata, cookie, maxAge }: NonNullable<UpstreamConfig["affinity"]>): AffinitySettings {
  return cookie === undefined ? { by: "metadata", name: metadata ?? "" } : { by: "cookie", name: cookie, maxAge };
}

/** How the cluster of an upstream chooses and judges. `zone`: the sidecar's own, where the upstream says nothing of it. */
export function policyOf(config: UpstreamConfig, zone: string | undefined): ClusterPolicy {
  const { hash, slowStart, zones, subsets, healthCheck } = config;
  return {
    balancer: balancers[config.balancer],
    choices: config.choices,
    hash:
      hash === undefined
        ? defaultPolicy.hash
        : hash.by === "metadata"
          ? { by: hash.by, name: hash.name ?? "" }
          : { by: hash.by },
    maxLoad: hash?.maxLoad,
    order: config.order,
    aperture: config.aperture,
    load: config.loadReports ?? defaultPolicy.load,
    slowStart: slowStart && {
      window: slowStart.window,
      from: slowStart.from,
      aggression: aggressions[slowStart.curve],
    },
    loadBias: config.loadBias,
    levels: {
      zone: zones === undefined ? undefined : (zones.own ?? zone),
      priorities: config.priorities.map((meta) => Object.fromEntries(meta)),
      spillBelow: config.spillBelow,
      spillAbove: config.spillAbove,
    },
    subsets: subsets && {
      match: Object.fromEntries(subsets.match),
      byMetadata: Object.fromEntries(subsets.byMetadata),
      otherwise: subsets.otherwise,
    },
    affinity: config.affinity && affinityOf(config.affinity),
    outlierDetection: config.outlierDetection,
    healthCheck: healthCheck && {
      ...healthCheck,
      service: healthCheck.service ?? "",
      path: healthCheck.path ?? "/",
    },
    panicThreshold: config.panicThreshold,
    connectTimeout: config.connectTimeout,
    connections: config.connections ?? defaultPolicy.connections,
  };
}
