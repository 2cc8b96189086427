import type { Call, Failure, Outcome } from "../http/call.ts";

/** What a filter says of a call: nothing, and it goes on; a failure, and it is answered with that. */
export type Verdict = Failure | undefined;

/**
 * A policy. It answers at once wherever it can, and with a promise only where it really waits. `onFinish` is called exactly
 * once for every call whose `onRequest` of the chain was begun, with the outcome that log and metric see.
 */
export interface Filter {
  readonly name: string;
  onRequest?(call: Call): Verdict | Promise<Verdict>;
  onFinish?(call: Call, outcome: Outcome, now: number): void;
}
