import type { Logger } from "pino";
import type { Clock } from "./clock.ts";
import { Sparing } from "./sparing.ts";

/** Lines at once, and a second after that. */
const BURST = 20;
const RATE = 2;

/**
 * Lines of one kind that others can cause as often as they like: one who floods us is not to fill the disk as well. How many
 * were left out stands in the next one, under `suppressed`.
 */
export class SparingLog {
  private readonly log: Logger;
  private readonly level: "info" | "warn" | "error";
  private readonly message: string;
  private readonly sparing: Sparing;

  constructor(log: Logger, level: "info" | "warn" | "error", message: string, clock: Clock) {
    this.log = log;
    this.level = level;
    this.message = message;
    this.sparing = new Sparing(() => clock.now());
  }

  tell(fields: object): void {
    if (!this.log.isLevelEnabled(this.level) || !this.sparing.allows(RATE, BURST)) return;
    this.log[this.level]({ ...fields, suppressed: this.sparing.takeLeftOut() }, this.message);
  }
}
