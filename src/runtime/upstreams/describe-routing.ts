import type { ChainMatch, ChainRoute, TextTest } from "../../discovery/consul/chain/chain.ts";
import type { UpstreamChain } from "./chain.ts";

/** How Consul routes an upstream, as `/clusters` has it. */
export interface RoutingAnswer {
  readonly upstream: string;
  readonly source: "consul";
  /** Of the service, as its config entries say; null while nothing is known. */
  readonly protocol: string | null;
  /** When Consul last said so. */
  readonly updatedAt: string | null;
  /** Since when it no longer answers, or not in a way that is believed. */
  readonly staleSince: string | null;
  readonly error: string | null;
  /** The first that matches a call is the one. */
  readonly routes: readonly {
    /** Where it stands in the service-router; "" where there is none. */
    readonly name: string;
    readonly match: string;
    readonly to: readonly { readonly name: string; readonly share: number }[];
  }[];
  /** What of the config entries is not obeyed: where it stands, and why. */
  readonly notObeyed: readonly string[];
}

/** How Consul routes an upstream, in `/clusters`. */
export function describeRouting(upstream: UpstreamChain): RoutingAnswer {
  const { name, state, chain, problems } = upstream;
  const known = state.kind === "known" ? state : undefined;
  return {
    upstream: name,
    source: "consul",
    protocol: chain?.protocol ?? null,
    updatedAt: known === undefined ? null : timestamp(known.updatedAt),
    staleSince: known?.staleSince === undefined ? null : timestamp(known.staleSince),
    error: state.error ?? null,
    routes: (chain?.routes ?? []).map((route) => describeRoute(route, upstream)),
    notObeyed: problems,
  };
}

function describeRoute({ name, match, ways }: ChainRoute, upstream: UpstreamChain): RoutingAnswer["routes"][number] {
  const to = ways.map(({ target, share }) => ({
    name: upstream.clusterOf(target)?.name ?? upstream.name,
    share: Number(share.toFixed(6)),
  }));
  return { name, match: describeMatch(match), to };
}

function describeMatch({ path, headers, query, methods }: ChainMatch): string {
  const words = [
    ...(path === undefined ? [] : [`path ${describeText(path)}`]),
    ...headers.map((test) => `${test.invert ? "not " : ""}header ${test.name} ${describeText(test)}`),
    ...query.map((test) => `${test.invert ? "not " : ""}query ${test.name} ${describeText(test)}`),
    ...(methods.length === 0 ? [] : [`method ${methods.join(" or ")}`]),
  ];
  return words.length === 0 ? "all calls" : words.join(", ");
}

function describeText({ kind, text, ignoreCase }: TextTest): string {
  const tail = ignoreCase ? " in either case" : "";
  return kind === "present" ? kind : `${kind} ${JSON.stringify(text)}${tail}`;
}

function timestamp(wall: number): string {
  return new Date(wall).toISOString();
}
