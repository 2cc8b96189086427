/** What is done about an overload, in the order of how much of it callers notice. */
export const overloadActions = [
  "shrinkHeap",
  "closeIdle",
  "forgetBodies",
  "refuseSheddable",
  "refuseOrdinary",
  "refuseAll",
  "refuseConnections",
] as const;

/** One of them. */
export type OverloadAction = (typeof overloadActions)[number];

/** What is watched. */
export const overloadResources = ["memory", "heap", "loopDelay"] as const;

/** One of them. */
export type OverloadResource = (typeof overloadResources)[number];

/** Shares of a resource's limit from which on an action is taken; 0 or absent: never. */
export type Thresholds = { readonly [action in OverloadAction]?: number };

/** `limit`: octets; undefined: what the system says. */
type MemoryThresholds = Required<Thresholds> & { readonly limit: number | undefined };

/** `overload`. */
export interface OverloadOptions {
  /** Milliseconds from one look to the next. */
  readonly interval: number;
  /** An action ends once the resource is so much of its limit below the threshold. */
  readonly recovery: number;
  /** The metadata field that says how much a call matters; undefined: that of adaptiveConcurrency. */
  readonly criticality: string | undefined;
  readonly memory: MemoryThresholds;
  readonly heap: MemoryThresholds;
  /** `limit`: milliseconds. undefined: not watched. */
  readonly loopDelay:
    | (Required<Pick<Thresholds, "refuseSheddable" | "refuseOrdinary" | "refuseAll" | "refuseConnections">> & {
        readonly limit: number;
      })
    | undefined;
}
