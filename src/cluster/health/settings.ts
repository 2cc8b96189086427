import type { StatusWord } from "../../http/status-words.ts";

/** Statuses that may count against an endpoint: those that a caller cannot bring about by what it asks for. */
export const countableStatuses = [
  "unknown",
  "deadlineExceeded",
  "resourceExhausted",
  "aborted",
  "internal",
  "unavailable",
  "dataLoss",
] as const satisfies readonly StatusWord[];

/** A gRPC status that may count as a failure of the endpoint. */
export type CountableStatus = (typeof countableStatuses)[number];

/** Times in milliseconds, shares of 1. */
export interface OutlierSettings {
  readonly mode: "eject" | "disabled";
  /** Failures in a row after which an endpoint is ejected. */
  readonly consecutiveFailures: number;
  /** How long the first time; the second time in a row twice as long, and so on. */
  readonly baseEjection: number;
  /** The longest. */
  readonly maxEjection: number;
  /** Of the endpoints that accept connections, rounded down, but always one where there are two. */
  readonly maxEjected: number;
  /** Statuses of the application that count as failures. */
  readonly statuses: readonly CountableStatus[];
  /** Whether it counts as a failure when nothing came within the deadline. */
  readonly timeouts: "counted" | "ignored";
  /** How often the two below are looked at. */
  readonly interval: number;
  readonly failurePercentage:
    | { readonly threshold: number; readonly minimumCalls: number; readonly minimumEndpoints: number }
    | undefined;
  /** `deviations`: so many standard deviations below the mean of all is too low. */
  readonly successRate:
    | { readonly deviations: number; readonly minimumCalls: number; readonly minimumEndpoints: number }
    | undefined;
}

/** What holds where `outlierDetection` says nothing; docs/balancing.md has the reasons. */
export const defaultOutlierSettings: OutlierSettings = {
  mode: "eject",
  consecutiveFailures: 5,
  baseEjection: 30_000,
  maxEjection: 300_000,
  maxEjected: 0.5,
  statuses: ["unavailable", "dataLoss", "internal", "unknown"],
  timeouts: "counted",
  interval: 10_000,
  failurePercentage: undefined,
  successRate: undefined,
};
