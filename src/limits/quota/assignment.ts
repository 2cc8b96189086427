import type { Pace } from "../pace.ts";

/** `BucketId`: what tells a bucket from others. The order says nothing. */
export type BucketId = readonly (readonly [key: string, value: string])[];

/** `RateLimitStrategy` */
export type Strategy = { readonly kind: "allow" | "deny" } | { readonly kind: "pace"; readonly pace: Pace };

/** `BucketQuotaUsage`; `elapsed` in milliseconds. */
export interface Usage {
  readonly id: BucketId;
  readonly elapsed: number;
  readonly allowed: number;
  readonly denied: number;
}

/** `RateLimitQuotaUsageReports`; the domain is said once a stream. */
export interface UsageReports {
  readonly domain: string | undefined;
  readonly usages: readonly Usage[];
}

/** `BucketAction`; `ttl` in milliseconds, Infinity where it does not expire. */
export type BucketAction =
  | { readonly kind: "assign"; readonly id: BucketId; readonly strategy: Strategy; readonly ttl: number }
  | { readonly kind: "abandon"; readonly id: BucketId };

/** The text that buckets with the same id have in common. */
export function bucketKey(id: BucketId): string {
  return JSON.stringify(id.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
