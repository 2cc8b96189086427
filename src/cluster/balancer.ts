import type { Call } from "../http/call.ts";
import type { Endpoint } from "./endpoint.ts";

/** What a picker may know of the call. */
export interface PickContext {
  readonly call: Call;
  /** Endpoints that this call has tried already; not picked again while there is another. */
  readonly tried: readonly Endpoint[] | undefined;
}

/**
 * A momentary, immutable view of a cluster's endpoints that chooses one for a call. Replaced whenever the set of usable
 * endpoints changes, never mutated from outside.
 */
export interface Picker {
  /** An endpoint, or undefined where there is none. Takes no time worth measuring and allocates nothing. */
  pick(context: PickContext): Endpoint | undefined;
}

/** A balancing algorithm: one file, one line in the table of balancers. */
export interface BalancerDefinition {
  readonly name: string;
  /** `previous`: the picker that this one replaces, for algorithms that carry a position on. `random` yields [0, 1). */
  picker(endpoints: readonly Endpoint[], random: () => number, previous: Picker | undefined): Picker;
}
