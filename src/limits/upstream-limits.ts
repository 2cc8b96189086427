import type { Direction } from "../http/reason.ts";

/** A limit that goes over to other settings while it is in use; undefined: it is off. */
interface Changeable<Options> {
  change(options: Options | undefined): void;
}

/** The limits of one kind of the application and of every upstream, by name. They outlive reloads. */
export class UpstreamLimits<Options, Limit extends Changeable<Options>> {
  private readonly make: (name: string) => Limit;
  private readonly limits: Readonly<Record<Direction, Map<string, Limit>>> = {
    inbound: new Map(),
    outbound: new Map(),
  };

  constructor(make: (name: string) => Limit) {
    this.make = make;
  }

  /** The same object each time until its upstream is configured no more. */
  of(direction: Direction, name: string): Limit {
    const known = this.limits[direction].get(name);
    if (known !== undefined) return known;
    const made = this.make(name);
    this.limits[direction].set(name, made);
    return made;
  }

  /** Goes over to other settings, by name. */
  apply(direction: Direction, settings: ReadonlyMap<string, Options | undefined>): void {
    for (const [name, limit] of this.limits[direction]) {
      if (settings.has(name)) continue;
      limit.change(undefined);
      this.limits[direction].delete(name);
    }
    for (const [name, options] of settings) this.of(direction, name).change(options);
  }

  /** All that are known, those that are off included. */
  protected *known(): IterableIterator<{
    readonly direction: Direction;
    readonly name: string;
    readonly limit: Limit;
  }> {
    for (const direction of ["inbound", "outbound"] as const)
      for (const [name, limit] of this.limits[direction]) yield { direction, name, limit };
  }
}
