import type { ActionState, ResourceState } from "./overload.ts";

const MIB = 1_048_576;

/** What a resource was last seen at, for people: `memory at 96.3% (370 of 384 MiB)`. */
export function resourceWords({ name, unit, used, limit, pressure }: ResourceState): string {
  const [from, of, word] = unit === "octets" ? [used / MIB, limit / MIB, "MiB"] : [used, limit, "ms"];
  return `${name} at ${percent(pressure)} (${Math.round(from)} of ${Math.round(of)} ${word})`;
}

/** Why an action is taken. */
export function causeWords({ cause, threshold, name }: ActionState): string {
  return `${cause === undefined ? "" : resourceWords(cause)}, ${name} is from ${percent(threshold)}`;
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10}%`;
}
