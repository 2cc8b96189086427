/** Bounds of the waits between tries. */
export interface BackoffOptions {
  /** Upper bound of the first wait, in milliseconds; it doubles with every failure. */
  readonly base: number;
  /** Upper bound of every wait, in milliseconds. */
  readonly cap: number;
  /** Uniform in [0, 1), as Math.random. */
  readonly random: () => number;
}

/**
 * How long to wait before the next try: capped exponential backoff with full jitter, so that many who failed together
 * do not come back together. A wait may be close to 0: whoever must not be fast bounds it from below.
 */
export class Backoff {
  private readonly options: BackoffOptions;
  private failures = 0;

  constructor(options: BackoffOptions) {
    this.options = options;
  }

  /** Notes a failure and gives the wait before the next try, in milliseconds. */
  next(): number {
    const { base, cap, random } = this.options;
    // 2 ** n becomes Infinity in the end, which the cap takes care of.
    const ceiling = Math.min(cap, base * 2 ** this.failures);
    this.failures += 1;
    return random() * ceiling;
  }

  /** Notes a success: the next failure waits as the first one did. */
  reset(): void {
    this.failures = 0;
  }
}
