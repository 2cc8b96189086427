import type { Call } from "../http/call.ts";
import type { Reason } from "../http/reason.ts";
import type { Selection } from "./choice/selection.ts";
import type { Endpoint } from "./endpoint.ts";

/** Why no endpoint can be picked. */
export interface NoneReason {
  readonly reason: Reason;
  readonly detail: string;
}

/** Why none of these endpoints, of which there are some, got a call; undefined where that cannot be said. */
export function noneOf(
  name: string,
  endpoints: readonly Endpoint[],
  selection: Selection,
  call: Call | undefined,
): NoneReason | undefined {
  const mine = endpoints.filter((endpoint) => call === undefined || selection.mayServe(endpoint, call));
  if (mine.length === 0 && endpoints.length > 0)
    return {
      reason: "NO_MATCHING_SUBSET",
      detail: `none of ${endpoints.length} instances of ${name} has the meta that the call asks for`,
    };
  const out = mine.filter((endpoint) => endpoint.reachable && !endpoint.usable);
  const one = out.find(({ checked }) => checked.kind === "unhealthy") ?? out[0];
  if (one !== undefined) {
    const { checked, outlier } = one;
    const why = checked.kind === "unhealthy" ? checked.detail : outlier.state.kind === "in" ? "" : outlier.state.detail;
    return {
      reason: "ALL_EJECTED",
      detail: `none of ${mine.length} instances of ${name} is healthy, ${one.label}: ${why}`,
    };
  }
  return unreachable(mine);
}

function unreachable(endpoints: readonly Endpoint[]): NoneReason | undefined {
  let last: Extract<Endpoint["state"], { kind: "unreachable" }> | undefined;
  for (const { state } of endpoints)
    if (state.kind === "unreachable" && (last === undefined || state.failedAt > last.failedAt)) last = state;
  if (last === undefined) return undefined;
  const { reason, message } = last.failure;
  const count = endpoints.length;
  return {
    reason,
    detail: count === 1 ? message : `none of ${count} instances can be reached, the last try: ${message}`,
  };
}
