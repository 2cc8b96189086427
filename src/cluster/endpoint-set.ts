import type { Call } from "../http/call.ts";
import type { Candidate, Explainer } from "../http/decision.ts";
import { matches, type SubsetSettings, wantedBy } from "./choice/subsets.ts";
import type { Endpoint } from "./endpoint.ts";

interface Known {
  readonly name: string;
  readonly verdict: string;
  readonly meta: Readonly<Record<string, string>>;
}

/** How the members of a set were chosen. */
export interface SetOptions {
  readonly balancer: string;
  readonly subsets: SubsetSettings | undefined;
  /** Health was ignored. */
  readonly panic: boolean;
}

/** The endpoints of a cluster as they were when a picker was made of them. It holds words only, no endpoint. */
export class EndpointSet implements Explainer {
  readonly balancer: string;
  private readonly subsets: SubsetSettings | undefined;
  private readonly known: readonly Known[];

  constructor(endpoints: Iterable<Endpoint>, { balancer, subsets, panic }: SetOptions) {
    this.balancer = balancer;
    this.subsets = subsets;
    this.known = Array.from(endpoints, (endpoint) => ({
      name: endpoint.label,
      verdict: verdictOn(endpoint, panic),
      meta: endpoint.meta,
    }));
  }

  explain(call: Call): readonly Candidate[] {
    const { subsets, known } = this;
    if (subsets === undefined) return known.map(({ name, verdict }) => ({ name, verdict }));
    const wanted = wantedBy(call, subsets);
    return known.map(({ name, verdict, meta }) => ({
      name,
      verdict: matches(meta, subsets, wanted) ? verdict : "not eligible: it has not the meta that is asked for",
    }));
  }
}

/** Whether it could be picked, and if not, why. */
function verdictOn(endpoint: Endpoint, panic: boolean): string {
  const { state, checked, outlier, weight, spec } = endpoint;
  switch (state.kind) {
    case "up":
      if (panic) return "eligible";
      if (checked.kind === "unhealthy") return `not eligible: unhealthy: ${checked.detail}`;
      if (outlier.state.kind === "ejected") return `not eligible: ejected: ${outlier.state.detail}`;
      if (outlier.state.kind === "halfOpen") return `one call at a time: was ejected: ${outlier.state.detail}`;
      return weight < spec.weight
        ? `eligible, with ${Math.round((weight / spec.weight) * 100)}% of its weight`
        : "eligible";
    case "unreachable":
      return `not eligible: ${state.failure.message}`;
    case "leaving":
      return "not eligible: no longer in the service";
  }
}
