import type { PickContext, Picker, PickerTools } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import { LoadBound } from "./load-bound.ts";
import { RandomPicker } from "./random.ts";

/**
 * Consistent hashing: a call's key has places, one after the other, and the first one whose endpoint may take the call does. Where all are
 * full the first of them gets it; without a key a call goes anywhere.
 */
export abstract class HashPicker implements Picker {
  protected readonly endpoints: readonly Endpoint[];
  protected readonly weights: readonly number[];
  /** Places that a key has at most. */
  protected abstract readonly steps: number;
  private readonly hash: PickerTools["hash"];
  private readonly keyless: RandomPicker;
  private readonly bound: LoadBound | undefined;

  constructor(endpoints: readonly Endpoint[], tools: PickerTools) {
    this.endpoints = endpoints;
    this.weights = endpoints.map(({ weight }) => weight);
    this.hash = tools.hash;
    this.keyless = new RandomPicker(endpoints, tools.random);
    this.bound = tools.maxLoad === undefined ? undefined : new LoadBound(endpoints, tools.maxLoad);
  }

  /** The first place of a key. */
  protected abstract first(key: number): number;
  /** The place after another one, which was number `step`. */
  protected abstract next(place: number, step: number): number;
  protected abstract at(place: number): Endpoint | undefined;

  pick(context: PickContext): Endpoint | undefined {
    const key = this.hash(context.call);
    if (key === undefined) return this.keyless.pick(context);
    const { bound, steps } = this;
    const { tried } = context;
    let full: Endpoint | undefined;
    bound?.begin();
    let place = this.first(key);
    for (let step = 0; step < steps; step++) {
      const endpoint = this.at(place);
      if (endpoint !== undefined && tried?.includes(endpoint) !== true) {
        if (bound?.isFull(endpoint) !== true) return endpoint;
        full ??= endpoint;
      }
      place = this.next(place, step);
    }
    return full ?? this.keyless.pick(context);
  }
}
