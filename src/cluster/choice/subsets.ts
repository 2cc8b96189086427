import type { Call } from "../../http/call.ts";
import type { Endpoint } from "../endpoint.ts";
import { hasAll } from "./levels.ts";

/** Which endpoints a call may go to, by their meta. */
export interface SubsetSettings {
  /** Every call: meta that the endpoint has to have. */
  readonly match: Readonly<Record<string, string>>;
  /** By a call's metadata: its name, and the key of meta that has to have the same value. A call without it may go to any. */
  readonly byMetadata: Readonly<Record<string, string>>;
  /** What becomes of a call for which no endpoint fits. */
  readonly otherwise: "refuse" | "any";
}

/** Subsets that are remembered; a caller who makes values up must not fill the memory with them. */
export const MAX_SUBSETS = 256;

/** Whether an endpoint is for anybody. */
export function isInService({ meta }: Endpoint, settings: SubsetSettings | undefined): boolean {
  return settings === undefined || hasAll(meta, settings.match);
}

/** What a call asks for, as a text to look pickers up by; "" where it asks for nothing. */
export function wantedBy(call: Call, { byMetadata }: SubsetSettings): string {
  let wanted = "";
  for (const name of Object.keys(byMetadata)) {
    const value = call.head.get(name);
    if (value !== undefined) wanted += `${byMetadata[name]}\0${value}\0`;
  }
  return wanted;
}

/** Whether an endpoint has what `wantedBy` found. */
export function fits({ meta }: Endpoint, wanted: string): boolean {
  return hasWanted(meta, wanted);
}

/** Whether meta has all that is asked for by the upstream and, as `wantedBy` found it, by a call. */
export function matches(meta: Endpoint["meta"], { match }: SubsetSettings, wanted: string): boolean {
  return hasAll(meta, match) && hasWanted(meta, wanted);
}

function hasWanted(meta: Endpoint["meta"], wanted: string): boolean {
  const parts = wanted.split("\0");
  for (let at = 0; at + 1 < parts.length; at += 2) if (meta[parts[at] ?? ""] !== parts[at + 1]) return false;
  return true;
}
