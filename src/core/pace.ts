/** Whoever sends at a pace. */
export interface Paced {
  /** Its turn has come: sends `octets` at most of what it has, and returns how many. Waits again where all were and there is more. */
  sendPaced(octets: number): number;
}

/** A rate of octets that several share. Who may not send all that it has waits for its turn; each has one after the other. */
export interface Pace {
  /** How many of `wanted` octets may be sent now. Where they are fewer, `wait` is next. */
  take(wanted: number): number;
  /** So many of those were not sent after all. */
  giveBack(octets: number): void;
  /** Has `sendPaced` called. Idempotent. */
  wait(paced: Paced): void;
  /** It waits no more. Idempotent. */
  leave(paced: Paced): void;
}
