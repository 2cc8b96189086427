import type { Call } from "../http/call.ts";
import { isHealthCheck } from "../http/call-match.ts";
import type { Overload, Rank } from "../limits/overload/overload.ts";
import { causeWords } from "../limits/overload/words.ts";
import { overLimit } from "../limits/refusal.ts";
import type { Filter, Verdict } from "./filter.ts";

/**
 * Refuses calls while the sidecar itself is overloaded, those that matter least first. `criticality`: the metadata field that says
 * how much a call matters, where there is one.
 */
export function shedOverload(overload: Overload, criticality: () => string | undefined): Filter {
  return {
    name: "overload",
    onRequest: (call) => (overload.refusing === 0 ? undefined : shed(call, overload, criticality())),
  };
}

function shed(call: Call, overload: Overload, field: string | undefined): Verdict {
  // Health checks tell others whether to send calls here: they come through.
  if (isHealthCheck(call.path)) return undefined;
  const rank = rankOf(field === undefined ? undefined : call.head.get(field));
  const action = overload.refusalOf(rank);
  if (action?.cause === undefined) return undefined;
  overload.count(action.name);
  const { name, pressure } = action.cause;
  call.note("limit", `overload.${name}`, pressure, action.threshold);
  return overLimit({
    reason: "OVERLOAD",
    detail: `the sidecar is overloaded: ${causeWords(action)}, and the call is ${rank}`,
    wait: overload.options.interval,
    elsewhere: true,
  });
}

function rankOf(criticality: string | undefined): Rank {
  return criticality === "critical" || criticality === "sheddable" ? criticality : "ordinary";
}
