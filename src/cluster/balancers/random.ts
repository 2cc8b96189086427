import type { BalancerDefinition, PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import { drawUntried, WeightTable } from "./weight-table.ts";

/** Draws an endpoint by its weight, whatever it does. */
export class RandomPicker implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly table: WeightTable;
  private readonly random: () => number;

  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.endpoints = endpoints;
    this.table = new WeightTable(endpoints);
    this.random = random;
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, table, random } = this;
    return tried === undefined ? table.at(random() * table.total) : drawUntried(endpoints, tried, random);
  }
}

/** An endpoint drawn by weight. */
export const random: BalancerDefinition = {
  name: "random",
  picker: (endpoints, tools) => new RandomPicker(endpoints, tools.random),
};
