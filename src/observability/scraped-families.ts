import { Counter, Gauge, type LabelValues, type Registry } from "prom-client";

/** What a thing comes to in a family; undefined: it is not in it. */
type Value<Thing> = (thing: Thing) => number | undefined;

/** Families of metrics about the same things, with the same labels. Nothing is held here: the things are asked on scrape. */
export class ScrapedFamilies<Thing, Label extends string> {
  private readonly registers: Registry[];
  private readonly labelNames: readonly Label[];
  private readonly things: () => Iterable<readonly [LabelValues<Label>, Thing]>;

  /** `things`: those that there are now, each with its labels. */
  constructor(
    registry: Registry,
    labelNames: readonly Label[],
    things: () => Iterable<readonly [LabelValues<Label>, Thing]>,
  ) {
    this.registers = [registry];
    this.labelNames = labelNames;
    this.things = things;
  }

  gauge(name: string, help: string, value: Value<Thing>): void {
    const { registers, labelNames } = this;
    const each = () => this.each(value);
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, found] of each()) this.set(labels, found);
      },
    });
  }

  counter(name: string, help: string, value: Value<Thing>): void {
    const { registers, labelNames } = this;
    const each = () => this.each(value);
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, found] of each()) this.inc(labels, found);
      },
    });
  }

  private *each(value: Value<Thing>): IterableIterator<[LabelValues<Label>, number]> {
    for (const [labels, thing] of this.things()) {
      const found = value(thing);
      if (found !== undefined) yield [labels, found];
    }
  }
}
