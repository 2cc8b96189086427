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

/** What a picker takes from its surroundings. */
export interface PickerTools {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Milliseconds of the clock, read once a turn of the event loop. */
  readonly now: () => number;
  /** What calls are kept together by: 32 bits, or undefined for a call that has nothing of the kind. */
  readonly hash: (call: Call) => number | undefined;
  /** Of how many endpoints drawn at random the best one is taken. */
  readonly choices: number;
  /** How many times its share of the calls under way an endpoint may have, where calls are kept together; undefined: any number. */
  readonly maxLoad: number | undefined;
  /** Where endpoints stand in an order: whether that is one of this sidecar's own, not that of the list. */
  readonly shuffled: boolean;
  /**
   * A call is about to wait for a connection of `first`: the others of the order are tried beside it, one after the other. `won` is
   * told of the one that has a connection first.
   */
  readonly race: (first: Endpoint, order: readonly Endpoint[], won: (winner: Endpoint) => void) => void;
}

/** A balancing algorithm: one file, one line in the table of balancers. */
export interface BalancerDefinition {
  readonly name: string;
  /**
   * What endpoints have to keep of the attempts at them: how long answers take, or what the application says of its load.
   * Nothing of the kind is kept where no balancer needs it.
   */
  readonly needs?: "latency" | "load";
  /** `previous`: the picker that this one replaces, for algorithms that carry a position on. */
  picker(endpoints: readonly Endpoint[], tools: PickerTools, previous: Picker | undefined): Picker;
}
