import type { PickContext, Picker } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Better } from "./two-choices.ts";
import { drawUntried, WeightTable } from "./weight-table.ts";

/** The best of so many endpoints drawn at random by their weight; one may be drawn more than once, as in Envoy. */
export class ManyChoices implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly choices: number;
  private readonly random: () => number;
  private readonly better: Better;
  private readonly table: WeightTable;

  constructor(endpoints: readonly Endpoint[], choices: number, random: () => number, better: Better) {
    this.endpoints = endpoints;
    this.choices = choices;
    this.random = random;
    this.better = better;
    this.table = new WeightTable(endpoints);
  }

  pick({ tried }: PickContext): Endpoint | undefined {
    const { endpoints, random, table } = this;
    if (endpoints.length === 0) return undefined;
    let best: Endpoint | undefined;
    for (let n = 0; n < this.choices; n++) {
      const drawn = tried === undefined ? table.at(random() * table.total) : drawUntried(endpoints, tried, random);
      if (drawn !== undefined && drawn !== best) best = best === undefined ? drawn : this.better(best, drawn);
    }
    return best;
  }
}
