import type { Call } from "./call.ts";

/**
 * What is decided about a call on its way, each as one fact of `note(decision, subject, value, bound)`:
 *
 * | decision     | subject                                   | value                     | bound                          |
 * | ------------ | ----------------------------------------- | ------------------------- | ------------------------------ |
 * | routes       | what chose the route, as an `Explainer`   |                           |                                |
 * | routed       | the route or upstream                     |                           |                                |
 * | refused      | the filter that refused                   |                           |                                |
 * | token        | the provider, or what is wrong with it    | 1: verified, 0: not taken |                                |
 * | authorization | the rule, or `default`                   | 1: allowed, 0: denied     | 1: in shadow                   |
 * | external     | what the authorization service said, or why it did not answer | 1: let in, 0: not | 2: no answer |
 * | limit        | the limit's name                          | value with this call; above the threshold: refused | threshold; 0: not known here |
 * | breaker      | `NAME closed`, `NAME open`, `NAME halfOpen` | share of failures       | share at which it opens        |
 * | waits        | what for                                  |                           |                                |
 * | candidates   | the endpoints, as an `Explainer`          |                           |                                |
 * | picked       | endpoint                                  | its calls under way       | those of the next best, if any |
 * | attempt      | endpoint                                  | number of the attempt, 1… |                                |
 * | answered     | endpoint                                  | number of the attempt     |                                |
 * | attemptEnded | reason, gRPC status, or `cancelled`       | number of the attempt; 0: no connection |                  |
 * | retry        | the proof that it was safe, in words      | number of the next attempt |                               |
 * | notRetried   | why not                                   | number of the attempt     |                                |
 * | hedge        | why it was sent                           | number of the attempt     |                                |
 * | ended        | reason, "" without one                    | gRPC status               |                                |
 * | compared     | whose copy of the call, and how its answer differs |                  |                                |
 */
export type Decision =
  | "routes"
  | "routed"
  | "refused"
  | "token"
  | "authorization"
  | "external"
  | "limit"
  | "breaker"
  | "waits"
  | "candidates"
  | "picked"
  | "attempt"
  | "answered"
  | "attemptEnded"
  | "retry"
  | "notRetried"
  | "hedge"
  | "ended"
  | "compared";

/** One of several that were to choose from, and what became of it. */
export interface Candidate {
  readonly name: string;
  readonly verdict: string;
}

/**
 * Says afterwards, when somebody asks, what there was to choose from and why each lost. Immutable: what it says of a call must
 * be what was so when the call came by. A route table is one, and so is the set of endpoints that a picker chose from.
 */
export interface Explainer {
  explain(call: Call): readonly Candidate[];
}

/** A decision as it was recorded. */
export interface Fact {
  readonly decision: Decision;
  readonly subject: string | Explainer;
  readonly value: number;
  readonly bound: number;
  /** Milliseconds of the clock. */
  readonly at: number;
}

/** Takes what is decided about calls. Taking costs some nanoseconds; texts are made when somebody asks. */
export interface Recorder {
  note(call: Call, decision: Decision, subject: string | Explainer, value: number, bound: number): void;
  /** The call is over: nothing of it changes any more. */
  over(call: Call): void;
}
