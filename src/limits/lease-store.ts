import type { Algorithm } from "./algorithms.ts";
import type { Pace } from "./pace.ts";

/** What a store gives of the calls that were asked for. */
export interface Grant {
  /** As many as there were, at most those that were asked for. */
  readonly granted: number;
  /** Milliseconds until there is one more, where fewer were granted; until what was granted lapses, in windows. */
  readonly wait: number;
}

/** What a limit is called in the store and how it is counted there. */
export interface LeaseTerms {
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly pace: Pace;
}

/** Where limits are kept that several processes, or threads, share. It is asked beside the calls, never for one. */
export interface LeaseStore {
  /** Whether it answered when it was last asked; true before. */
  readonly up: boolean;
  /** Milliseconds of the clock from which on a store that is down is worth another question. */
  readonly retryAt: number;
  /** Answers that it did not give. */
  readonly failures: number;
  /** Asks for calls of a key. `done` is called once, later, within a bounded time; undefined: the store did not answer. */
  lease(terms: LeaseTerms, key: string, calls: number, done: (grant: Grant | undefined) => void): void;
}
