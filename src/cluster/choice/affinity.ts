import { createHash } from "node:crypto";

/** Session affinity: a field that the sidecar sets on answers and reads on requests. */
export interface AffinitySettings {
  /** Name of the metadata, lower case. */
  readonly metadata: string;
}

export type SessionField = readonly [name: string, value: string];

/** What stands for an endpoint in the field: the same in every sidecar, and no address. */
export function tokenOf(endpointId: string): string {
  return createHash("sha256").update(endpointId).digest("base64url").slice(0, 16);
}
