import type { Timer } from "../core/clock.ts";
import { collectGarbage } from "../core/collect-garbage.ts";
import { openMemoryTrim } from "../core/trim-memory.ts";
import type { ActionState } from "../limits/overload/overload.ts";
import { causeWords } from "../limits/overload/words.ts";
import type { Listeners } from "./listeners.ts";
import type { ProcessServices } from "./services.ts";

/** Milliseconds from one collection of garbage to the next: each stops the thread. */
const BETWEEN_COLLECTIONS = 10_000;
/** Milliseconds without an octet after which a caller's connection is not needed: sidecars open another one at no risk. */
const IDLE = 5_000;

/** Looks at what the sidecar uses, and does about it what does not wait for a call. */
export class OverloadWatch {
  private readonly services: Pick<ProcessServices, "overload" | "clock" | "log" | "connections">;
  private readonly listeners: Pick<Listeners, "closeIdle">;
  private readonly collect: () => void;
  private readonly openTrim: typeof openMemoryTrim;
  /** What V8 has let go is given back to the system by the look after its collection: it lets go beside the thread. */
  private trim: (() => void) | undefined = undefined;
  private isUntrimmed = false;
  private timer: Timer | undefined = undefined;
  private collectedAt = Number.NEGATIVE_INFINITY;

  constructor(
    services: Pick<ProcessServices, "overload" | "clock" | "log" | "connections">,
    listeners: Pick<Listeners, "closeIdle">,
    collect = collectGarbage,
    openTrim = openMemoryTrim,
  ) {
    this.services = services;
    this.listeners = listeners;
    this.collect = collect;
    this.openTrim = openTrim;
  }

  /** Looks now, and every interval from here on. Also where the settings have changed. */
  begin(): void {
    const { overload, clock } = this.services;
    this.timer?.cancel();
    this.look();
    this.timer = clock.setTimer(overload.options.interval, () => this.begin());
  }

  close(): void {
    this.timer?.cancel();
    this.services.overload.close();
  }

  private look(): void {
    const { overload, clock, connections } = this.services;
    for (const action of overload.look()) this.tell(action);
    connections.shut = overload.takes("refuseConnections");
    if (overload.takes("closeIdle")) overload.count("closeIdle", this.listeners.closeIdle(IDLE));
    if (this.isUntrimmed && this.trim !== undefined) {
      this.trim();
      this.isUntrimmed = false;
    }
    if (overload.takes("shrinkHeap") && clock.now() - this.collectedAt >= BETWEEN_COLLECTIONS) {
      this.collect();
      this.collectedAt = clock.now();
      overload.count("shrinkHeap");
      this.isUntrimmed = true;
      if (this.trim === undefined) void this.findTrim();
    }
  }

  private async findTrim(): Promise<void> {
    const found = await this.openTrim();
    if (typeof found === "string")
      this.services.log.logger.debug(`memory that is free stays with the process: ${found}`);
    this.trim = typeof found === "string" ? () => {} : found;
  }

  private tell(action: ActionState): void {
    const { logger } = this.services.log;
    const facts = { action: action.name, resource: action.cause?.name };
    if (action.since === undefined) logger.info(facts, `no longer overloaded: ${action.name} is over`);
    else logger.warn(facts, `overloaded: ${causeWords(action)}`);
  }
}
