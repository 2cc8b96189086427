import type { Clock } from "../core/clock.ts";
import type { Allowance } from "./allowance.ts";
import { FixedWindow } from "./fixed-window.ts";
import type { Paced } from "./pace.ts";
import { SlidingWindow } from "./sliding-window.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How calls are counted, by the word of the configuration. */
export const algorithms = {
  tokenBucket: (of: Paced): Allowance => new TokenBucket(of),
  slidingWindow: (of: Paced): Allowance => new SlidingWindow(of),
  fixedWindow: (of: Paced, clock: Clock): Allowance => new FixedWindow(of, clock),
} as const;

/** What `rateLimits.algorithm` may say. */
export type Algorithm = keyof typeof algorithms;
