import { balancers, hashing } from "../../cluster/balancers/index.ts";
import type { ClusterPolicy } from "../../cluster/policy.ts";
import type { ChainTarget } from "../../discovery/consul/chain/chain.ts";

/** How the endpoints of a target are chosen: as the upstream says, where its resolver does not. */
export function chainPolicy(own: ClusterPolicy, { balancing, connectTimeout }: ChainTarget): ClusterPolicy {
  if (balancing === undefined) return { ...own, connectTimeout };
  const { policy, choices, hash } = balancing;
  return {
    ...own,
    connectTimeout,
    balancer: balancers[policy],
    choices,
    // Every sidecar has to know the same endpoints.
    aperture: hashing.has(policy) ? undefined : own.aperture,
    hash: hash.length === 0 ? own.hash : { by: "parts", parts: hash },
  };
}
