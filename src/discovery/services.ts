import type { Logger } from "pino";
import type { Address } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import type { AnswerCache } from "./answer-cache.ts";

/** What every source and registrar takes from its surroundings. */
export interface DiscoveryServices {
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1), as Math.random; spreads retries and heartbeats. */
  readonly random: () => number;
  /** Where this process listens. An endpoint there would be a call to oneself and is dropped. */
  readonly own: () => readonly Address[];
  /** Good answers of earlier days, for a cold start; undefined: none are kept. */
  readonly cache?: AnswerCache | undefined;
}
