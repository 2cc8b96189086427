import { Backoff } from "./backoff.ts";
import type { Clock, Timer } from "./clock.ts";

/** What is followed by blocking queries, and what is done with the answers. */
export interface FollowOptions<T> {
  /** One blocking query. `index` 0: answer at once. Otherwise: when it has another index, or after a while. */
  readonly ask: (index: bigint) => Promise<T>;
  readonly keep: (answer: T) => void;
  /** Whether to pause before the next query; there is none once the signal has fired. */
  readonly failed: (error: unknown) => boolean;
  /** Calls `listener` when the next query may well succeed, whatever the last one did; returns what ends that. */
  readonly onRenewed?: (listener: () => void) => () => void;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Milliseconds of the shortest pause after a failure, and bounds of what grows with every further one. */
const SHORTEST = 100;
const PAUSES = { base: 250, cap: 10_000 };

/** One blocking query after the other, with growing pauses while they fail. Resolves when the signal fires; never rejects. */
export async function follow<T extends { readonly index: bigint }>(options: FollowOptions<T>): Promise<void> {
  const { ask, keep, failed, onRenewed, clock, random, signal } = options;
  const backoff = new Backoff({ ...PAUSES, random });
  let index = 0n;
  while (!signal.aborted) {
    try {
      const answer = await ask(index);
      // An index that goes back is another server's, or the same one's that has forgotten.
      index = answer.index < index ? 0n : answer.index;
      keep(answer);
      backoff.reset();
    } catch (error) {
      index = 0n;
      if (signal.aborted || !failed(error)) continue;
      await pause(SHORTEST + backoff.next(), clock, signal, onRenewed);
    }
  }
}

/** Resolves after so many milliseconds, when the signal fires, or by a renewal. */
function pause(
  ms: number,
  clock: Clock,
  signal: AbortSignal,
  onRenewed: FollowOptions<unknown>["onRenewed"],
): Promise<void> {
  return new Promise((resolve) => {
    let timer: Timer | undefined;
    const end = (): void => {
      timer?.cancel();
      forget?.();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const forget = onRenewed?.(end);
    timer = clock.setTimer(ms, end);
    signal.addEventListener("abort", end);
  });
}
