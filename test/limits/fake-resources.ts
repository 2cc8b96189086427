import type { OverloadOptions } from "../../src/limits/overload/options.ts";
import type { Resources } from "../../src/limits/overload/resources.ts";

/** Resources of which a test says how much is used; memory and heap have 100 MiB. */
export class FakeResources implements Resources {
  used = { memory: 0, heap: 0, loopDelay: 0 };
  /** How often each was told that nobody looks. */
  rested = { memory: 0, heap: 0, loopDelay: 0 };
  readonly memory = this.of("memory", 100 * 1_048_576);
  readonly heap = this.of("heap", 100 * 1_048_576);
  readonly loopDelay = this.of("loopDelay", undefined);

  /** Has memory used by so many percent. */
  set memoryAt(percent: number) {
    this.used.memory = percent * 1_048_576;
  }

  private of(name: "memory" | "heap" | "loopDelay", limit: number | undefined) {
    return {
      limit,
      unit: name === "loopDelay" ? ("milliseconds" as const) : ("octets" as const),
      read: () => this.used[name],
      rest: () => void this.rested[name]++,
    };
  }
}

const thresholds = {
  limit: undefined,
  shrinkHeap: 0.85,
  closeIdle: 0.9,
  forgetBodies: 0.9,
  refuseSheddable: 0.92,
  refuseOrdinary: 0.95,
  refuseAll: 0.98,
  refuseConnections: 0.98,
};

/** What the schema has by default. */
export const overloadDefaults: OverloadOptions = {
  interval: 1000,
  recovery: 0.05,
  criticality: undefined,
  memory: thresholds,
  heap: thresholds,
  loopDelay: undefined,
};
