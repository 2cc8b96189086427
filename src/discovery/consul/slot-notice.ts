import type { Logger } from "pino";
import { SLOT_LIMITS } from "./query-slots.ts";

/** Says once that an agent takes fewer queries at a time than wanted, and once that it takes all again. */
export class SlotNotice {
  private readonly host: string;
  private readonly log: Logger;
  private limited = false;

  constructor(host: string, log: Logger) {
    this.host = host;
    this.log = log;
  }

  /** `why`: set where it fell. */
  size(size: number, why: string | undefined): void {
    if (why !== undefined && !this.limited) {
      this.limited = true;
      this.log.warn({ address: this.host, queries: size }, `${why}: ${size} queries at once from now on`);
    } else if (this.limited && size === SLOT_LIMITS.most) {
      this.limited = false;
      this.log.info(
        { address: this.host, queries: size },
        `consul at ${this.host} takes ${size} queries at once again`,
      );
    }
  }
}
