/** How much a limit lets through. */
export interface Pace {
  readonly amount: number;
  /** Milliseconds in which `amount` calls may pass. */
  readonly per: number;
  /** Calls that may pass at once after a rest; only a token bucket has more or fewer than `amount`. */
  readonly burst: number;
}

/** Where an allowance reads its pace from, whenever it decides: a reload changes it under those that exist. */
export interface Paced {
  readonly pace: Pace;
}

/** A share of a pace, at least one call. */
export function shareOf({ amount, per, burst }: Pace, share: number): Pace {
  return { amount: Math.max(1, amount * share), per, burst: Math.max(1, Math.floor(burst * share)) };
}
