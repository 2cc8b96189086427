import type { Clock, Timer } from "../core/clock.ts";
import { setPatience } from "../core/patience.ts";
import type { Http2Limits } from "./limits.ts";
import type { Role } from "./receiver.ts";

/** What the other side has to say in time: its SETTINGS, and that it has read ours (RFC 9113 §3.4 and §6.5.3). */
export class Handshake {
  private readonly timer: Timer;
  private seen = false;
  private acknowledged = false;

  /** `late` is called with what has not come. */
  constructor(clock: Clock, role: Role, limits: Http2Limits, late: (reason: string) => void) {
    const missing = role === "client" ? "no SETTINGS came" : "no HTTP/2 preface came";
    const judge = (): void => late(`${this.seen ? "SETTINGS were not acknowledged" : missing} in time`);
    this.timer = setPatience(clock, role === "client" ? limits.settingsTimeout : limits.handshakeTimeout, judge);
  }

  settingsCame(): void {
    this.seen = true;
    if (this.acknowledged) this.stop();
  }

  acknowledgementCame(): void {
    this.acknowledged = true;
    if (this.seen) this.stop();
  }

  stop(): void {
    this.timer.cancel();
  }
}
