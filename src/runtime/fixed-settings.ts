import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";

/** Settings that cannot change while the process runs, and have: as the file names them. */
export function changedFixedSettings(before: Config, after: Config): string[] {
  const changed: string[] = [];
  if (before.service?.name !== after.service?.name) changed.push("service.name");
  if (before.workers !== after.workers) changed.push("workers");
  for (const name of ["inbound", "outbound", "admin", "probe"] as const)
    if (!isDeepStrictEqual(before.listeners[name], after.listeners[name])) changed.push(`listeners.${name}`);
  // Whoever redirects to the listeners does not hear of a reload.
  for (const name of ["inbound", "outbound"] as const)
    if (!isDeepStrictEqual(before.capture?.[name], after.capture?.[name])) changed.push(`capture.${name}`);
  return changed;
}
