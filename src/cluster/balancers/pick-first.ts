import type { BalancerDefinition, PickContext, Picker, PickerTools } from "../balancer.ts";
import { hashText, mix } from "../choice/hash-key.ts";
import type { Endpoint } from "../endpoint.ts";

/** What one picker leaves to its successor. */
interface Hold {
  endpoint: Endpoint | undefined;
  /** What makes this sidecar's order another one than others', where it is shuffled. */
  readonly seed: number;
}

/**
 * All calls to one endpoint (gRFC A62): the first of the list that can be reached, for as long as it can be. While it is being
 * connected to the next ones are tried beside it, one after the other (A61, as RFC 8305 has it of addresses), and whoever
 * stands first is the one. It keeps the calls when one that stands before it in the list comes back.
 */
class FirstPicker implements Picker {
  readonly hold: Hold;
  private readonly order: readonly Endpoint[];
  private readonly race: PickerTools["race"];

  constructor(endpoints: readonly Endpoint[], { random, race, shuffled }: PickerTools, previous: Picker | undefined) {
    this.hold =
      previous instanceof FirstPicker
        ? previous.hold
        : { endpoint: undefined, seed: shuffled ? Math.floor(random() * 2 ** 32) : 0 };
    this.order = shuffled ? inOrderOf(this.hold.seed, endpoints) : endpoints;
    this.race = race;
    const { endpoint } = this.hold;
    if (endpoint !== undefined && !endpoints.includes(endpoint)) this.hold.endpoint = undefined;
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { hold, order } = this;
    hold.endpoint ??= order.find(({ pool }) => pool.standing) ?? order[0];
    const first = hold.endpoint;
    if (first === undefined) return undefined;
    const another = tried?.includes(first) === true ? order.find((endpoint) => !tried.includes(endpoint)) : undefined;
    if (another !== undefined) return another;
    if (!first.pool.standing && order.length > 1) this.begin(first);
    return first;
  }

  private begin(first: Endpoint): void {
    const { hold, order } = this;
    this.race(first, order, (winner) => {
      if (hold.endpoint === first) hold.endpoint = winner;
    });
  }
}

/** An order that stays while endpoints come and go. */
function inOrderOf(seed: number, endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const rank = (endpoint: Endpoint): number => mix(hashText(endpoint.id) ^ seed);
  return endpoints.toSorted((one, other) => rank(one) - rank(other));
}

/** One endpoint, and another one only where that cannot be reached. */
export const pickFirst: BalancerDefinition = {
  name: "pickFirst",
  picker: (endpoints, tools, previous) => new FirstPicker(endpoints, tools, previous),
};
