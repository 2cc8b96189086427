import type { Call } from "../http/call.ts";
import type { Candidate, Explainer } from "../http/decision.ts";
import type { Endpoint } from "./endpoint.ts";

/** The endpoints of a cluster as they were when a picker was made of them. It holds words only, no endpoint. */
export class EndpointSet implements Explainer {
  readonly balancer: string;
  private readonly verdicts: readonly Candidate[];

  constructor(endpoints: Iterable<Endpoint>, balancer: string) {
    this.balancer = balancer;
    this.verdicts = Array.from(endpoints, (endpoint) => ({ name: endpoint.label, verdict: verdictOn(endpoint) }));
  }

  explain(_call: Call): readonly Candidate[] {
    return this.verdicts;
  }
}

/** Whether it could be picked, and if not, why. */
function verdictOn({ state, checked, outlier }: Endpoint): string {
  switch (state.kind) {
    case "up":
      if (checked.kind === "unhealthy") return `not eligible: unhealthy: ${checked.detail}`;
      if (outlier.state.kind === "ejected") return `not eligible: ejected: ${outlier.state.detail}`;
      if (outlier.state.kind === "halfOpen") return `one call at a time: was ejected: ${outlier.state.detail}`;
      return "eligible";
    case "unreachable":
      return `not eligible: ${state.failure.message}`;
    case "leaving":
      return "not eligible: no longer in the service";
  }
}
